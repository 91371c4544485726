//! Calls to stores as spans, the same for every adapter: each port has a wrapper here that `stores` puts around what it
//! opens. Only what belongs to a trace is traced; probes, heartbeats and the sweep begin none.

mod index;
mod objects;
mod queue;

use tracing::{Instrument, Span};

pub(crate) use self::{index::TracedIndex, objects::TracedObjects, queue::TracedQueue};
use crate::{index::IndexError, objects::ObjectError, queue::QueueError};

/// Why a call failed, as one of a few words; `None` for answers that are expected.
trait FailureKind {
    fn kind(&self) -> Option<&'static str>;
}

impl FailureKind for ObjectError {
    fn kind(&self) -> Option<&'static str> {
        match self {
            // Somebody else was faster.
            Self::Precondition(_) => None,
            Self::InvalidKey(_) => Some("invalid_key"),
            Self::Full(_) => Some("full"),
            Self::TooLarge { .. } => Some("too_large"),
            Self::Unavailable { .. } => Some("unavailable"),
        }
    }
}

impl FailureKind for QueueError {
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Full { .. } => Some("full"),
            Self::LeaseLost(_) => Some("lease_lost"),
            Self::Cursor => Some("cursor"),
            Self::Unavailable { .. } => Some("unavailable"),
        }
    }
}

impl FailureKind for IndexError {
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::ForeignStore { .. } => Some("foreign_store"),
            Self::UnusableVector(_) => Some("unusable_vector"),
            Self::Window { .. } => Some("window"),
            Self::Cursor => Some("cursor"),
            Self::Unavailable { .. } => Some("unavailable"),
        }
    }
}

/// Does `call` within `span`, which has fields for how it ended.
async fn within<T, E: FailureKind>(span: Span, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let outcome = call.instrument(span.clone()).await;
    if let Some(kind) = outcome.as_ref().err().and_then(FailureKind::kind) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", kind);
    }
    outcome
}

/// A store in this process is no client call.
fn kind(is_remote: bool) -> &'static str {
    if is_remote { "client" } else { "internal" }
}
