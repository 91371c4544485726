//! What every role shares: domain types, the filter language, configuration, telemetry and the HTTP kit.
//! Nothing here knows a store or a model; those live in `backends` and `embedding`.

pub mod config;
pub mod filter;
pub mod http;
pub mod id;
pub mod metrics;
pub mod model;
pub mod record;
pub mod task;
pub mod telemetry;

pub use id::{CopyId, ImageId, ModelFingerprint, StoreId, TaskId, Version};
pub use record::{Hit, ImageDocument, ImageFacts, ImageRecord, Metadata, RecordState};
pub use task::{FailureCode, Job, JobSource, Task, TaskFailure, TaskResult, TaskStatus};
