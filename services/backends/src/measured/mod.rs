//! Around every adapter, whichever it is: each call is counted and timed (`shared::metrics::backend`), and nothing else.

mod index;
mod objects;
mod queue;

use shared::metrics::backend::{Fault, Outcome};

use crate::{index::IndexError, objects::ObjectError, queue::QueueError};

/// An adapter that is measured.
pub(crate) struct Measured<A>(pub(crate) A);

impl Fault for ObjectError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Precondition(_) => Outcome::Conflict,
            Self::Full(_) => Outcome::Full,
            Self::InvalidKey(_) | Self::TooLarge { .. } => Outcome::Refused,
            Self::Unavailable { .. } => Outcome::Unavailable,
        }
    }
}

impl Fault for QueueError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::LeaseLost(_) => Outcome::Conflict,
            Self::Full { .. } => Outcome::Full,
            Self::Cursor => Outcome::Refused,
            Self::Unavailable { .. } => Outcome::Unavailable,
        }
    }
}

impl Fault for IndexError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::ForeignStore { .. } => Outcome::Conflict,
            Self::UnusableVector(_) | Self::Window { .. } | Self::Cursor => Outcome::Refused,
            Self::Unavailable { .. } => Outcome::Unavailable,
        }
    }
}
