//! A fault of any of the stores, for what is built on more than one of them.

use crate::{index::IndexError, objects::ObjectError, queue::QueueError, records::RecordError};

/// What was begun when it happened is taken up by the job's next delivery, or by the sweep.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Index(#[from] IndexError),
}
