//! The records: what the object store says of each image. Changed only by compare-and-swap, each time with a higher version.
//! Why bytes are stored under names of their own is told in docs/architecture.md.

mod incoming;
mod originals;
mod take_over;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use shared::{CopyId, ImageDocument, ImageFacts, ImageId, ImageRecord, Metadata, RecordState, TaskFailure, Version};

use self::incoming::Incoming;
pub use self::originals::Original;
use crate::{
    keys,
    metadata::{self, MetadataError},
    objects::{ObjectError, ObjectInfo, ObjectStore, PutCondition, StagedObject},
};

/// Far above what the limits of metadata allow.
pub(crate) const MAX_RECORD_BYTES: u64 = 256 << 10;
/// Two who change one record at once need two tries; so many mean that something else is wrong.
const MAX_SWAPS: usize = 1000;
/// Records read at once by a listing.
const READ_AHEAD: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("image {0} is not there")]
    NotFound(ImageId),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("the record of image {image_id} can't be read; upload the image again or delete it")]
    Damaged {
        image_id: ImageId,
        #[source]
        source: serde_json::Error,
    },
    #[error("image {0} was deleted after it was asked for; ask again to have it back")]
    DeletedSince(ImageId),
    #[error("the stored bytes of image {0} are gone; upload the image again or delete it")]
    OriginalMissing(ImageId),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// What is known of an image whose bytes have come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    pub image_id: ImageId,
    pub size_bytes: u64,
    /// Sniffed from the bytes.
    pub content_type: String,
    /// File name, without folders.
    pub name: Option<String>,
    pub metadata: Metadata,
}

/// A record as it lies in the store.
#[derive(Debug)]
pub struct Stored {
    pub info: ObjectInfo,
    pub image_id: ImageId,
    pub record: Result<ImageRecord, RecordError>,
}

#[derive(Clone)]
pub struct Records {
    pub(crate) objects: Arc<dyn ObjectStore>,
}

impl Records {
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// The record of an image, also of a deleted one; `None` when it was never there.
    pub async fn get(&self, image_id: ImageId) -> Result<Option<ImageRecord>, RecordError> {
        self.read(image_id).await?.map(|stored| stored.record).transpose()
    }

    /// Takes an image in: gives the staged bytes their key, then swaps in a record with a new version. Over a present
    /// record, the date of creation, the facts and the stored bytes stay, and the new metadata wins where it says something.
    /// `seen` is the record as it was read last: if that is not what is stored any more, it is read again.
    ///
    /// Once this returns, the image survives whatever dies; a job for it must follow.
    pub async fn accept_upload(
        &self,
        upload: &Upload,
        staged: Box<dyn StagedObject>,
        seen: Option<Stored>,
    ) -> Result<ImageRecord, RecordError> {
        self.take_in(upload, staged, seen, None).await
    }

    /// Takes an image in that was asked for at `asked` and fetched later: a delete in between wins.
    ///
    /// # Errors
    /// `DeletedSince` then, and nothing is stored.
    pub async fn accept_fetched(
        &self,
        upload: &Upload,
        staged: Box<dyn StagedObject>,
        seen: Option<Stored>,
        asked: Timestamp,
    ) -> Result<ImageRecord, RecordError> {
        self.take_in(upload, staged, seen, Some(asked)).await
    }

    async fn take_in(
        &self,
        upload: &Upload,
        staged: Box<dyn StagedObject>,
        mut seen: Option<Stored>,
        asked: Option<Timestamp>,
    ) -> Result<ImageRecord, RecordError> {
        metadata::validate(&upload.metadata)?;
        let mut bytes = Incoming::Staged(staged);
        for _ in 0..MAX_SWAPS {
            let previous = seen.as_ref().and_then(|stored| stored.record.as_ref().ok());
            if asked.is_some_and(|asked| previous.is_some_and(|record| is_deleted_since(record, asked))) {
                self.remove_copies(upload.image_id, [bytes.committed()]).await;
                return Err(RecordError::DeletedSince(upload.image_id));
            }
            let original = match self.usable_copy(previous, upload.size_bytes).await? {
                Some(copy) => copy,
                None => bytes.commit(upload.image_id).await?,
            };
            let record = upload.onto(previous, original);
            let replaced = previous.and_then(|record| record.original);
            if self.swap_in(&record, seen.as_ref()).await? {
                let unused = [replaced, bytes.committed()].map(|copy| copy.filter(|copy| *copy != original));
                self.remove_copies(upload.image_id, unused).await;
                return Ok(record);
            }
            seen = self.read(upload.image_id).await?;
        }
        Err(ObjectError::Precondition(keys::record(upload.image_id)).into())
    }

    /// Applies a JSON merge patch (RFC 7396) to the metadata of a present image.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `Metadata` when the result breaks a limit.
    pub async fn change_metadata(
        &self,
        image_id: ImageId,
        patch: &serde_json::Value,
    ) -> Result<ImageRecord, RecordError> {
        let changed = self
            .change_document(image_id, |record, document| {
                document.metadata = metadata::patched(&document.metadata, patch)?;
                record.version = Version::after(Some(record.version));
                document.version = record.version;
                Ok(())
            })
            .await?;
        changed.ok_or(RecordError::NotFound(image_id))
    }

    /// Stores what a worker found in the bytes, and that they can be read. `None` when the image was deleted.
    ///
    /// The version stays: facts follow from the bytes, so they are those of every version of the image.
    pub async fn set_facts(&self, image_id: ImageId, facts: &ImageFacts) -> Result<Option<ImageRecord>, RecordError> {
        self.change_document(image_id, |record, document| {
            record.failure = None;
            document.facts = Some(facts.clone());
            Ok(())
        })
        .await
    }

    /// Stores why this version can't be indexed. `None` when another version took its place.
    pub async fn set_failure(
        &self,
        image_id: ImageId,
        version: Version,
        failure: &TaskFailure,
    ) -> Result<Option<ImageRecord>, RecordError> {
        let changed = self
            .change_document(image_id, |record, _| {
                if record.version == version {
                    record.failure = Some(failure.clone());
                }
                Ok(())
            })
            .await?;
        Ok(changed.filter(|record| record.version == version))
    }

    /// Swaps in that the image is deleted, before anything of it is removed (by `Projection::align`, which must follow).
    ///
    /// # Errors
    /// `NotFound` when it was never there, or is deleted already.
    pub async fn delete(&self, image_id: ImageId) -> Result<ImageRecord, RecordError> {
        for _ in 0..MAX_SWAPS {
            let stored = self.read(image_id).await?.ok_or(RecordError::NotFound(image_id))?;
            let previous = stored.record.as_ref().ok();
            if previous.is_some_and(|record| record.document().is_none()) {
                return Err(RecordError::NotFound(image_id));
            }
            let record = ImageRecord {
                image_id,
                version: Version::after(previous.map(|record| record.version)),
                original: previous.and_then(|record| record.original),
                failure: None,
                state: RecordState::Deleted { deleted: Timestamp::now() },
            };
            if self.swap_in(&record, Some(&stored)).await? {
                return Ok(record);
            }
        }
        Err(ObjectError::Precondition(keys::record(image_id)).into())
    }

    /// All records after that of an image, in the order of their ids; `folder` is `keys::RECORDS` or a shard of it.
    /// Bounded in memory.
    pub fn list(&self, folder: &str, start_after: Option<ImageId>) -> BoxStream<'static, Result<Stored, RecordError>> {
        let all = self.list_but(folder, start_after, |_, _| false);
        all.try_filter_map(|(_, stored)| async move { Ok(stored) }).boxed()
    }

    /// The same, without reading those that `is_known` says true of; they come as `None`.
    pub(crate) fn list_but(
        &self,
        folder: &str,
        start_after: Option<ImageId>,
        is_known: impl Fn(ImageId, &ObjectInfo) -> bool + Send + 'static,
    ) -> BoxStream<'static, Result<(ImageId, Option<Stored>), RecordError>> {
        let records = self.clone();
        self.objects
            .list(folder, start_after.map(keys::record).as_ref())
            .map_err(RecordError::from)
            .try_filter_map(|info| async move { Ok(keys::image_of_record(&info.key).map(|image_id| (image_id, info))) })
            .map_ok(move |(image_id, info)| {
                let (records, is_known) = (records.clone(), is_known(image_id, &info));
                async move {
                    // Gone since it was listed: by hand only, as records are never removed.
                    let stored = if is_known { None } else { records.read(image_id).await? };
                    Ok((image_id, stored))
                }
            })
            .try_buffered(READ_AHEAD)
            .boxed()
    }

    pub(crate) async fn read(&self, image_id: ImageId) -> Result<Option<Stored>, RecordError> {
        let key = keys::record(image_id);
        let (info, bytes) = match self.objects.get(&key, MAX_RECORD_BYTES).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            // One record that can't be read must not keep a listing from all others.
            Err(error @ ObjectError::TooLarge { .. }) => {
                let source = serde::de::Error::custom(error);
                let record = Err(RecordError::Damaged { image_id, source });
                return Ok(self.objects.head(&key).await?.map(|info| Stored { info, image_id, record }));
            }
            Err(error) => return Err(error.into()),
        };
        let record = serde_json::from_slice(&bytes)
            .map_err(|source| RecordError::Damaged { image_id, source })
            .and_then(|record: ImageRecord| {
                if record.image_id == image_id {
                    return Ok(record);
                }
                let source = serde::de::Error::custom(format_args!("it is the record of image {}", record.image_id));
                Err(RecordError::Damaged { image_id, source })
            });
        Ok(Some(Stored { info, image_id, record }))
    }

    /// Writes a record in place of the one that was read; false when that one changed meanwhile.
    async fn swap_in(&self, record: &ImageRecord, in_place_of: Option<&Stored>) -> Result<bool, RecordError> {
        let condition = match in_place_of {
            Some(stored) => PutCondition::Matches(stored.info.etag.clone()),
            None => PutCondition::Absent,
        };
        let bytes =
            serde_json::to_vec(record).map_err(|source| RecordError::Damaged { image_id: record.image_id, source })?;
        match self.objects.put(&keys::record(record.image_id), Bytes::from(bytes), condition).await {
            Ok(_) => Ok(true),
            Err(ObjectError::Precondition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a present record by compare-and-swap; `None` when it is not present.
    async fn change_document(
        &self,
        image_id: ImageId,
        mut change: impl FnMut(&mut ImageRecord, &mut ImageDocument) -> Result<(), MetadataError>,
    ) -> Result<Option<ImageRecord>, RecordError> {
        for _ in 0..MAX_SWAPS {
            let Some(mut stored) = self.read(image_id).await? else { return Ok(None) };
            let before = std::mem::replace(&mut stored.record, Err(RecordError::NotFound(image_id)))?;
            let mut record = before.clone();
            let Some(mut document) = record.document().cloned() else { return Ok(None) };
            change(&mut record, &mut document)?;
            record.state = RecordState::Present(Box::new(document));
            if record == before || self.swap_in(&record, Some(&stored)).await? {
                return Ok(Some(record));
            }
        }
        Err(ObjectError::Precondition(keys::record(image_id)).into())
    }

    /// The stored copy of a present record, if its bytes are really there.
    async fn usable_copy(&self, record: Option<&ImageRecord>, size_bytes: u64) -> Result<Option<CopyId>, ObjectError> {
        let Some(record) = record.filter(|record| record.document().is_some()) else { return Ok(None) };
        let Some(copy) = record.original else { return Ok(None) };
        let info = self.objects.head(&keys::original(record.image_id, copy)).await?;
        Ok(info.filter(|info| info.size_bytes == size_bytes).map(|_| copy))
    }

    /// Removes copies that no record will ever name: that of a record that was replaced, and one that was committed for a try
    /// that another change overtook. If removing one fails, the sweep does it.
    async fn remove_copies<const N: usize>(&self, image_id: ImageId, copies: [Option<CopyId>; N]) {
        for copy in copies.into_iter().flatten() {
            if let Err(error) = self.objects.delete(&keys::original(image_id, copy)).await {
                tracing::debug!(%image_id, %error, "an unused copy is left to the sweep");
            }
        }
    }
}

/// Whether a delete came at that time or later, and nothing after it.
fn is_deleted_since(record: &ImageRecord, time: Timestamp) -> bool {
    matches!(record.state, RecordState::Deleted { deleted } if deleted >= time)
}

impl Upload {
    fn onto(&self, previous: Option<&ImageRecord>, original: CopyId) -> ImageRecord {
        let version = Version::after(previous.map(|record| record.version));
        let present = previous.and_then(ImageRecord::document);
        let document = ImageDocument {
            image_id: self.image_id,
            version,
            size_bytes: self.size_bytes,
            content_type: self.content_type.clone(),
            name: self.name.clone().or_else(|| present.and_then(|document| document.name.clone())),
            created: present.map_or_else(Timestamp::now, |document| document.created),
            metadata: metadata::merged(present.map(|document| &document.metadata), &self.metadata),
            facts: present.and_then(|document| document.facts.clone()),
        };
        let state = RecordState::Present(Box::new(document));
        ImageRecord { image_id: self.image_id, version, original: Some(original), failure: None, state }
    }
}

#[cfg(test)]
mod tests;
