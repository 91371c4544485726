//! Records that come from another store, with their versions: the highest wins.

use std::cmp::Ordering;

use shared::ImageRecord;

use super::{MAX_SWAPS, RecordError, Records, incoming::Incoming};
use crate::{
    keys,
    objects::{ObjectError, StagedObject},
};

impl Records {
    /// Whether `take_over` would need the bytes of this record.
    pub(crate) async fn wants_bytes(&self, foreign: &ImageRecord) -> Result<bool, RecordError> {
        let Some(document) = foreign.document() else { return Ok(false) };
        let stored = self.read(foreign.image_id).await?;
        let previous = stored.as_ref().and_then(|stored| stored.record.as_ref().ok());
        let is_newer_here = previous.is_some_and(|record| record.version > foreign.version);
        Ok(!is_newer_here && self.usable_copy(previous, document.size_bytes).await?.is_none())
    }

    /// Takes a record over from another store, with its version, unless the one here is as high. Its bytes are committed
    /// from `staged` when it is present and the store has none. Returns whether anything changed.
    pub(crate) async fn take_over(
        &self,
        foreign: &ImageRecord,
        staged: Option<Box<dyn StagedObject>>,
    ) -> Result<bool, RecordError> {
        let mut bytes = staged.map_or(Incoming::None, Incoming::Staged);
        for _ in 0..MAX_SWAPS {
            let stored = self.read(foreign.image_id).await?;
            let previous = stored.as_ref().and_then(|stored| stored.record.as_ref().ok());
            let size_bytes = foreign.document().map(|document| document.size_bytes);
            let kept = match size_bytes {
                Some(size_bytes) => self.usable_copy(previous, size_bytes).await?,
                None => previous.and_then(|record| record.original),
            };
            let brings_bytes = size_bytes.is_some() && kept.is_none() && !matches!(bytes, Incoming::None);
            let has_it = |record: &ImageRecord| match record.version.cmp(&foreign.version) {
                Ordering::Greater => true,
                Ordering::Equal => !brings_bytes,
                Ordering::Less => false,
            };
            if previous.is_some_and(has_it) {
                return Ok(false);
            }
            let original = if brings_bytes { Some(bytes.commit(foreign.image_id).await?) } else { kept };
            let replaced = previous.and_then(|record| record.original);
            let record = ImageRecord { original, ..foreign.clone() };
            if self.swap_in(&record, stored.as_ref()).await? {
                let unused = [replaced, bytes.committed()].map(|copy| copy.filter(|copy| original != Some(*copy)));
                self.remove_copies(foreign.image_id, unused).await;
                return Ok(true);
            }
        }
        Err(ObjectError::Precondition(keys::record(foreign.image_id)).into())
    }
}
