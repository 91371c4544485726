//! Why a reconcile could not come to its end.

use super::credentials::NoRandomness;

/// A closed set, for metrics.
pub(crate) const REASONS: [&str; 6] = ["no_namespace", "read", "status", "prune", "randomness", "children"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("the resource has no namespace")]
    NoNamespace,
    #[error("cannot read {what}")]
    Read {
        what: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot write the status")]
    Status(#[source] kube::Error),
    #[error("cannot list {what}, to remove what is no longer wanted")]
    Prune {
        what: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Each is a condition already; the reconcile is tried again.
    #[error("{failed} of the children could not be applied, first {first}")]
    Children { failed: usize, first: String },
}

impl ReconcileError {
    /// One of [`REASONS`].
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoNamespace => "no_namespace",
            Self::Read { .. } => "read",
            Self::Status(_) => "status",
            Self::Prune { .. } => "prune",
            Self::Randomness(_) => "randomness",
            Self::Children { .. } => "children",
        }
    }
}
