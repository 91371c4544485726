//! The bytes that a record names. A copy that is gone is looked for again under the record's next version, so that a
//! delete and a new upload in between are not taken for a loss.

use std::ops::Range;

use bytes::Bytes;
use shared::{ImageId, ImageRecord};

use super::{RecordError, Records};
use crate::{
    keys,
    objects::{ObjectInfo, ObjectKey, ObjectStream},
};

/// An image's bytes as they came, with the record that names them.
pub struct Original {
    pub record: ImageRecord,
    pub info: ObjectInfo,
    /// The bytes, or those in the range that was asked for.
    pub stream: ObjectStream,
}

impl Records {
    /// Streams the bytes of a present image, or those of them in `range` (which must lie inside); `None` when the image is
    /// not there.
    ///
    /// # Errors
    /// `OriginalMissing` when the record names bytes that are not stored.
    pub async fn open_original(
        &self,
        image_id: ImageId,
        range: Option<Range<u64>>,
    ) -> Result<Option<Original>, RecordError> {
        let mut missing = None;
        while let Some((record, key)) = self.original_key(image_id).await? {
            if let Some((info, stream)) = self.objects.read(&key, range.clone()).await? {
                return Ok(Some(Original { record, info, stream }));
            }
            not_missing_twice(image_id, &mut missing, key)?;
        }
        Ok(None)
    }

    /// Reads the whole of a present image of at most `limit_bytes`; `None` when it is not there.
    ///
    /// # Errors
    /// `OriginalMissing` when the record names bytes that are not stored.
    pub async fn read_original(
        &self,
        image_id: ImageId,
        limit_bytes: u64,
    ) -> Result<Option<(ImageRecord, Bytes)>, RecordError> {
        let mut missing = None;
        while let Some((record, key)) = self.original_key(image_id).await? {
            if let Some((_, bytes)) = self.objects.get(&key, limit_bytes).await? {
                return Ok(Some((record, bytes)));
            }
            not_missing_twice(image_id, &mut missing, key)?;
        }
        Ok(None)
    }

    async fn original_key(&self, image_id: ImageId) -> Result<Option<(ImageRecord, ObjectKey)>, RecordError> {
        let Some(record) = self.get(image_id).await?.filter(|record| record.document().is_some()) else {
            return Ok(None);
        };
        let copy = record.original.ok_or(RecordError::OriginalMissing(image_id))?;
        Ok(Some((record, keys::original(image_id, copy))))
    }
}

/// The record was read before its bytes: only if it names the same copy afterwards are they really missing.
fn not_missing_twice(image_id: ImageId, missing: &mut Option<ObjectKey>, key: ObjectKey) -> Result<(), RecordError> {
    if missing.replace(key.clone()) == Some(key) { Err(RecordError::OriginalMissing(image_id)) } else { Ok(()) }
}
