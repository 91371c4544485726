//! Around every adapter, whichever it is: each call is counted and timed (`shared::metrics::backend`), and is a span of the
//! trace that it belongs to. `stores` puts these around what it opens. Probes, heartbeats and the sweep begin no trace.

mod index;
mod objects;
mod queue;

use shared::metrics::backend::{self, Backend, Fault, Operation, Outcome};
use tracing::{Instrument, Span};

pub(crate) use self::{index::ObservedIndex, objects::ObservedObjects, queue::ObservedQueue};
use crate::{index::IndexError, objects::ObjectError, queue::QueueError};

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

/// One call, within `span`, which has fields for how it ended.
async fn observe<T, E: Fault>(
    backend: Backend,
    operation: Operation,
    span: Span,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answer = backend::call(backend, operation, call).instrument(span.clone()).await;
    match answer.as_ref().err().map(Fault::outcome) {
        // Somebody else was faster, which is an answer like any other.
        None | Some(Outcome::Conflict) => {}
        Some(failed) => {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", failed.as_str());
        }
    }
    answer
}

/// A store in this process is no client call.
fn kind(is_remote: bool) -> &'static str {
    if is_remote { "client" } else { "internal" }
}
