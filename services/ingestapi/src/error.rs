//! The one map from faults of an ingest to what a client is told.

use std::time::Duration;

use backends::{
    error::StoreError, index::IndexError, intake::IntakeError, objects::ObjectError, queue::QueueError,
    records::RecordError,
};
use shared::http::Problem;

use crate::ingest::IngestError;

/// A worker takes a few seconds to make room.
const QUEUE_FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match &error {
            IngestError::Item(_) | IngestError::Metadata(_) | IngestError::NoItems => {
                Self::unprocessable(error.to_string())
            }
            IngestError::TooManyItems { .. } => Self::too_large(error.to_string()),
            IngestError::NoTask(_) | IngestError::NoSamples => Self::not_found(error.to_string()),
            IngestError::ModelIsConfigured => Self::conflict(error.to_string()),
            IngestError::Stopping => Self::unavailable("model", &error),
            IngestError::Intake(error) => intake_problem(error),
            IngestError::Store(error) => store_problem(error),
            IngestError::Interrupted(error) => Self::internal(error),
        }
    }
}

fn intake_problem(error: &IntakeError) -> Problem {
    match error {
        IntakeError::TooLarge { .. } => Problem::too_large(error.to_string()),
        IntakeError::Empty => Problem::unprocessable(error.to_string()),
        IntakeError::UnsupportedType(_) => Problem::unsupported_type(error.to_string()),
        IntakeError::Object(error) => object_problem(error),
    }
}

fn record_problem(error: &RecordError) -> Problem {
    match error {
        RecordError::NotFound(_) => Problem::not_found(error.to_string()),
        RecordError::Metadata(_) => Problem::unprocessable(error.to_string()),
        RecordError::Object(error) => object_problem(error),
        RecordError::Damaged { .. } | RecordError::DeletedSince(_) | RecordError::OriginalMissing(_) => {
            Problem::internal(error)
        }
    }
}

fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Record(error) => record_problem(error),
        StoreError::Object(error) => object_problem(error),
        StoreError::Queue(error) => queue_problem(error),
        StoreError::Index(error) => index_problem(error),
    }
}

fn object_problem(error: &ObjectError) -> Problem {
    match error {
        ObjectError::Full(_) | ObjectError::Unavailable { .. } => Problem::unavailable("objects", error),
        ObjectError::Precondition(_) => Problem::conflict("the image was changed by others all the while; try again"),
        ObjectError::InvalidKey(_) | ObjectError::TooLarge { .. } => Problem::internal(error),
    }
}

fn queue_problem(error: &QueueError) -> Problem {
    match error {
        QueueError::Full { .. } => Problem::queue_full(error.to_string(), QUEUE_FULL_RETRY_AFTER),
        QueueError::Cursor => Problem::bad_request(error.to_string()),
        QueueError::Unavailable { .. } => Problem::unavailable("queue", error),
        QueueError::LeaseLost(_) => Problem::internal(error),
    }
}

fn index_problem(error: &IndexError) -> Problem {
    match error {
        IndexError::ForeignStore { .. } | IndexError::Unavailable { .. } => Problem::unavailable("index", error),
        IndexError::Cursor => Problem::bad_request(error.to_string()),
        IndexError::Window { .. } | IndexError::UnusableVector(_) => Problem::internal(error),
    }
}
