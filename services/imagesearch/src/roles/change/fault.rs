//! Why a change of the model stops, and whether waiting may mend it.

use backends::{error::StoreError, index::IndexError, stores::OpenError};

use crate::roles::{model::ModelFault, starting::MayPass};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeFault {
    #[error(transparent)]
    Model(#[from] ModelFault),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the model gives no usable vectors")]
    Trial(#[source] anyhow::Error),
    #[error(
        "the model gives different texts, or different photos, the same vector; the export is broken, choose another"
    )]
    Constant,
    #[error("the model needs about {needed_mib} MiB of memory beside the current one, and {free_mib} MiB are free")]
    Memory { needed_mib: u64, free_mib: u64 },
    #[error("the index of {images} images needs about {needed_mib} MiB of disk, and {free_mib} MiB are free")]
    Disk { images: u64, needed_mib: u64, free_mib: u64 },
    #[error("{images} images get no vector from the new model; `imagesearch status --failed` names them")]
    LeftOut { images: u64 },
    #[error("cannot set up its worker")]
    Worker(#[source] anyhow::Error),
}

impl From<IndexError> for ChangeFault {
    fn from(error: IndexError) -> Self {
        Self::Store(error.into())
    }
}

impl ChangeFault {
    /// With its causes, in one line.
    pub(crate) fn reason(&self) -> String {
        let mut reason = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        reason
    }

    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Model(fault) => fault.may_pass(),
            Self::Open(error) => error.is_unavailable(),
            Self::Store(error) => error.is_unavailable(),
            Self::Trial(_)
            | Self::Constant
            | Self::Memory { .. }
            | Self::Disk { .. }
            | Self::LeftOut { .. }
            | Self::Worker(_) => false,
        }
    }
}
