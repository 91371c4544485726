//! `ingestapi`: all writes. Images come in as files or as URLs, are changed, and are deleted.

mod answer;
mod error;
mod images;
pub mod ingest;
mod lines;
mod lists;
pub mod model;
pub mod router;
pub mod samples;
mod tasks;
mod upload;
pub mod urls;

pub use ingest::{Ingest, IngestError, IngestLimits};
pub use model::ModelControl;
pub use router::{IngestState, router, routes};
pub use samples::{Sample, Samples};
