//! Jobs and the task states that users see of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::{
    id::{ImageId, ModelFingerprint, TaskId, Version},
    record::Metadata,
};

/// Work for an `ingestworker`. It carries references, never bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Also the message id: a retried publish is one job.
    pub task_id: TaskId,
    /// The model whose collection the image goes into.
    pub model: ModelFingerprint,
    pub source: JobSource,
    /// What the user calls it: a file name or a URL. Shown in lists.
    pub name: Option<String>,
    pub created: Timestamp,
    /// W3C `traceparent` of the request that made the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobSource {
    /// The original and its record are stored; index that version.
    Stored { image_id: ImageId, version: Version },
    /// Fetch it first, then store and index it.
    Url { url: Url, metadata: Metadata },
}

impl JobSource {
    pub fn image_id(&self) -> Option<ImageId> {
        match self {
            Self::Stored { image_id, .. } => Some(*image_id),
            Self::Url { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Accepted and waiting, also between two tries.
    Queued,
    /// A worker has it.
    Processing,
    /// A search that starts now finds the image.
    Indexed,
    /// Over, with a reason; a new upload tries again.
    Failed,
    /// The same bytes were there already; `result` says which image.
    Duplicate,
    /// The image was deleted, or changed by a later upload, before this task was done.
    Superseded,
}

impl TaskStatus {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Processing, Self::Indexed, Self::Failed, Self::Duplicate, Self::Superseded];

    /// As in JSON, query strings and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Indexed => "indexed",
            Self::Failed => "failed",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
        }
    }

    pub fn is_alive(self) -> bool {
        matches!(self, Self::Queued | Self::Processing)
    }
}

/// Why a task failed. Stable: clients may depend on it, metrics use it as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// Not an image, or of a type that is not read.
    UnsupportedType,
    /// Too many bytes or pixels.
    TooLarge,
    /// Damaged beyond what can be decoded.
    Corrupt,
    /// The model gave no usable vector for it.
    UnusableVector,
    /// The URL is not allowed (private address, scheme, port).
    AddressRefused,
    /// The URL could not be fetched (status, redirects, size, time).
    FetchFailed,
    /// The stored original is gone.
    OriginalMissing,
    /// Retried as often as allowed; the last fault is in the detail.
    RetriesExhausted,
    /// A fault of ours.
    Internal,
}

impl FailureCode {
    pub const ALL: [Self; 9] = [
        Self::UnsupportedType,
        Self::TooLarge,
        Self::Corrupt,
        Self::UnusableVector,
        Self::AddressRefused,
        Self::FetchFailed,
        Self::OriginalMissing,
        Self::RetriesExhausted,
        Self::Internal,
    ];

    /// As in JSON, metric labels and spans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedType => "unsupported_type",
            Self::TooLarge => "too_large",
            Self::Corrupt => "corrupt",
            Self::UnusableVector => "unusable_vector",
            Self::AddressRefused => "address_refused",
            Self::FetchFailed => "fetch_failed",
            Self::OriginalMissing => "original_missing",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Internal => "internal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskFailure {
    pub code: FailureCode,
    /// One sentence: what is wrong and what to do.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskResult {
    pub image_id: ImageId,
    /// Path of the original on the frontend's origin.
    pub url: String,
}

/// The state of a job as users see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    pub task_id: TaskId,
    pub status: TaskStatus,
    /// File name or URL that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Known from the start for uploads, once fetched for URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskFailure>,
    /// How often a worker has begun it.
    pub attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_named_alike_in_json_and_labels() {
        for code in FailureCode::ALL {
            assert_eq!(serde_json::to_value(code).expect("JSON"), code.as_str());
        }
        for status in TaskStatus::ALL {
            assert_eq!(serde_json::to_value(status).expect("JSON"), status.as_str());
        }
    }
}
