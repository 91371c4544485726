//! What is said of each image that was sent.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    ImageId, TaskId,
    http::{Json, Problem},
};
use utoipa::ToSchema;

use crate::ingest::{Accepted, IngestError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryStatus {
    /// Accepted: it is indexed sooner or later, whatever happens.
    Queued,
    /// The same bytes are there already, or on their way by the task that is named.
    Duplicate,
    /// Refused; `error` says why.
    Failed,
}

/// What became of one image of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<TaskId>,
    status: EntryStatus,
    /// File name or URL that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Known at once for files, later for URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// One entry an image, in the order of the request.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Entries {
    tasks: Vec<Entry>,
}

impl Entry {
    pub(crate) fn new(name: Option<String>, outcome: Result<Accepted, IngestError>) -> Self {
        match outcome {
            Ok(Accepted::Queued { task_id, image_id }) => {
                Self { task_id: Some(task_id), status: EntryStatus::Queued, name, image_id, error: None }
            }
            Ok(Accepted::Duplicate { task_id, image_id }) => {
                Self { task_id, status: EntryStatus::Duplicate, name, image_id: Some(image_id), error: None }
            }
            Err(error) => Self::refused(name, error.into()),
        }
    }

    pub(crate) fn refused(name: Option<String>, problem: Problem) -> Self {
        Self { task_id: None, status: EntryStatus::Failed, name, image_id: None, error: Some(problem) }
    }
}

impl Entries {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.tasks.push(entry);
    }

    pub(crate) fn extend(&mut self, entries: Vec<Entry>) {
        self.tasks.extend(entries);
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// The first problem stands for all when nothing was taken.
    fn problem(&self) -> Option<&Problem> {
        let is_taken = |entry: &Entry| entry.error.is_none();
        if self.tasks.iter().any(is_taken) { None } else { self.tasks.first()?.error.as_ref() }
    }
}

impl IntoResponse for Entries {
    fn into_response(self) -> Response {
        match self.problem().cloned() {
            Some(problem) => problem.with("tasks", self.tasks).into_response(),
            None => (StatusCode::ACCEPTED, Json(self)).into_response(),
        }
    }
}
