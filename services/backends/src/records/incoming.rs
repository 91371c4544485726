//! The bytes of an upload while its record is being swapped in.

use shared::{CopyId, ImageId};

use super::RecordError;
use crate::{keys, objects::StagedObject};

/// The bytes of an upload: committed at most once, and only if no stored copy will do.
pub(super) enum Incoming {
    None,
    Staged(Box<dyn StagedObject>),
    Committed(CopyId),
}

impl Incoming {
    pub(super) fn committed(&self) -> Option<CopyId> {
        match self {
            Self::Committed(copy) => Some(*copy),
            Self::None | Self::Staged(_) => None,
        }
    }

    pub(super) async fn commit(&mut self, image_id: ImageId) -> Result<CopyId, RecordError> {
        match std::mem::replace(self, Self::None) {
            Self::Staged(staged) => {
                let copy = CopyId::new();
                staged.commit(&keys::original(image_id, copy)).await?;
                *self = Self::Committed(copy);
                Ok(copy)
            }
            Self::Committed(copy) => {
                *self = Self::Committed(copy);
                Ok(copy)
            }
            Self::None => Err(RecordError::OriginalMissing(image_id)),
        }
    }
}
