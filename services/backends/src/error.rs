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

impl StoreError {
    /// The store is away, slow or refusing for now: worth another try.
    pub fn is_unavailable(&self) -> bool {
        let object_is = |error: &ObjectError| matches!(error, ObjectError::Unavailable { .. } | ObjectError::Full(_));
        match self {
            Self::Record(RecordError::Object(error)) | Self::Object(error) => object_is(error),
            Self::Record(_) => false,
            Self::Queue(error) => matches!(error, QueueError::Unavailable { .. } | QueueError::Full { .. }),
            Self::Index(error) => matches!(error, IndexError::Unavailable { .. }),
        }
    }
}
