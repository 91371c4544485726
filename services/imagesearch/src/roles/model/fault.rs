//! Why there is no model, or not yet.

use backends::{models::StoredModelError, stores::OpenError};
use embedding::{BundleError, FetchError};

use crate::{
    exit::Failure,
    roles::starting::{MayPass, store},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelFault {
    /// The configuration names something that can't be.
    #[error(transparent)]
    Setting(anyhow::Error),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Stored(#[from] StoredModelError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot load the model {model}")]
    Load {
        model: String,
        #[source]
        source: BundleError,
    },
}

impl ModelFault {
    /// What a command ends with.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Fetch(FetchError::NotFound { .. }) => Failure::NotFound,
            Self::Fetch(FetchError::Denied { .. }) => Failure::Forbidden,
            fault if fault.may_pass() => Failure::Unreachable,
            _ => Failure::Partial,
        }
    }
}

impl MayPass for ModelFault {
    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Stored(error) => error.is_unavailable(),
            Self::Fetch(error) => error.is_transient(),
            Self::Setting(_) | Self::Load { .. } => false,
        }
    }
    fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.missing(),
            Self::Stored(StoredModelError::Store(error)) => Some(store(error)),
            Self::Stored(_) | Self::Fetch(_) | Self::Setting(_) | Self::Load { .. } => Some("model"),
        }
    }
}
