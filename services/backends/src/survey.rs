//! Compares what the records say with what objects, index and queue hold, image by image. The sweep mends what this finds,
//! `check` reports it.
//!
//! The bulk is compared by listings, which are no snapshot; whatever differs there is looked up again one by one before it
//! is reported, so that work in progress is not taken for a fault.

mod examine;

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use async_stream::try_stream;
use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use shared::{CopyId, ImageId, ImageRecord, Version};

use crate::{
    error::StoreError,
    index::{Collection, IndexError},
    keys,
    objects::{ObjectInfo, ObjectKey},
    queue::JobQueue,
    records::{Records, Stored},
    stores::Stores,
};

/// Index entries that are held in memory at once, about 50 bytes each.
const SHARD_ENTRIES: u64 = 1_000_000;

/// An upload under way makes the job for its record within this time.
const JOB_AFTER: Duration = Duration::from_mins(1);

/// How an image should stand, or what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Present and indexed.
    Indexed,
    /// Present, and a task or an upload that is under way will index it.
    Waiting,
    /// Present, and its record says why it can't be indexed.
    Failed,
    Deleted,
    Difference(Difference),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// No vector, and no task that will make one.
    NotIndexed(ImageRecord),
    /// The document beside the vector is not the record's.
    StaleDocument(ImageId),
    /// A vector, an original or variants of an image that is deleted, failed or was never there.
    NotForgotten(ImageId),
    /// The record names bytes that are not stored.
    OriginalMissing(ImageRecord),
    /// The stored bytes are not those that the id was made of. Found by a deep survey only.
    OriginalDamaged(ImageRecord),
    /// Stored bytes that no record names.
    StrayOriginal(ObjectKey),
    /// Its record can't be parsed.
    RecordDamaged(ImageId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurveyOptions {
    /// Records that changed since then may have an upload behind them that is about to make their job.
    pub records_before: Timestamp,
    /// Stored bytes that are younger may belong to an upload that is about to swap in its record.
    pub originals_before: Timestamp,
    /// Records that have not changed since then were looked at by an earlier survey: they are not read again as long as their
    /// image is indexed and has its bytes.
    pub settled_before: Timestamp,
    /// Read every original and compare it with its id.
    pub deep: bool,
}

/// The stores of a survey, and the collection that they should be in line with.
#[derive(Clone)]
pub(crate) struct Survey {
    records: Records,
    queue: Arc<dyn JobQueue>,
    collection: Arc<dyn Collection>,
    options: SurveyOptions,
}

/// What listings say of one image.
struct Listed {
    stored: Option<Stored>,
    indexed: Option<Version>,
    copies: Vec<(CopyId, ObjectInfo)>,
}

impl SurveyOptions {
    /// While uploads may be under way: records younger than a minute and bytes younger than `stray_after` are left alone.
    pub fn while_serving(stray_after: Duration) -> Self {
        let now = Timestamp::now();
        let before = |age: Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        Self {
            records_before: before(JOB_AFTER),
            originals_before: before(stray_after),
            settled_before: Timestamp::MIN,
            deep: false,
        }
    }

    /// For the only process that uses the stores, started at `started`: nothing older can be under way.
    pub fn alone_since(started: Timestamp) -> Self {
        Self { records_before: started, originals_before: started, settled_before: Timestamp::MIN, deep: false }
    }
}

impl Survey {
    pub(crate) fn new(stores: &Stores, collection: &Arc<dyn Collection>, options: SurveyOptions) -> Self {
        let (records, queue) = (stores.records.clone(), stores.queue.clone());
        Self { records, queue, collection: collection.clone(), options }
    }

    /// One finding an image that has a record, and one more for whatever differs otherwise. Memory is bounded by the share of
    /// images whose ids begin with the same byte, and by `SHARD_ENTRIES`.
    pub(crate) fn findings(&self) -> BoxStream<'static, Result<Finding, StoreError>> {
        let survey = self.clone();
        Box::pin(try_stream! {
            for first_bytes in shards(survey.collection.count(None).await?) {
                let mut indexed = versions(survey.collection.as_ref(), &first_bytes).await?;
                for first_byte in first_bytes {
                    let mut findings = survey.findings_of_byte(first_byte, &mut indexed);
                    while let Some(finding) = findings.try_next().await? {
                        yield finding;
                    }
                }
            }
        })
    }

    fn findings_of_byte<'a>(
        &'a self,
        first_byte: u8,
        indexed: &'a mut HashMap<ImageId, Version>,
    ) -> BoxStream<'a, Result<Finding, StoreError>> {
        Box::pin(try_stream! {
            let mut copies = self.copies(first_byte).await?;
            let (whole, settled_before) = (self.whole(indexed, &copies), self.options.settled_before);
            let is_settled =
                move |image_id, info: &ObjectInfo| info.modified < settled_before && whole.contains(&image_id);
            let mut records = self.records.list_but(&keys::shard(keys::RECORDS, first_byte), None, is_settled);
            while let Some((image_id, stored)) = records.try_next().await? {
                let (copies, indexed) = (copies.remove(&image_id).unwrap_or_default(), indexed.remove(&image_id));
                let Some(stored) = stored else { continue };
                let listed = Listed { stored: Some(stored), indexed, copies };
                for finding in self.examine(image_id, listed).await? {
                    yield finding;
                }
            }
            // What is left has no record.
            for (image_id, _) in indexed.extract_if(|image_id, _| image_id.digest()[0] == first_byte) {
                copies.entry(image_id).or_default();
            }
            for (image_id, copies) in copies {
                let listed = Listed { stored: None, indexed: None, copies };
                for finding in self.examine(image_id, listed).await? {
                    yield finding;
                }
            }
        })
    }

    /// Images that have a vector and one copy of their bytes, as long as anybody wants to know.
    fn whole(
        &self,
        indexed: &HashMap<ImageId, Version>,
        copies: &HashMap<ImageId, Vec<(CopyId, ObjectInfo)>>,
    ) -> HashSet<ImageId> {
        if self.options.settled_before == Timestamp::MIN {
            return HashSet::new();
        }
        let whole = copies.iter().filter(|(image_id, copies)| copies.len() == 1 && indexed.contains_key(image_id));
        whole.map(|(image_id, _)| *image_id).collect()
    }

    async fn copies(&self, first_byte: u8) -> Result<HashMap<ImageId, Vec<(CopyId, ObjectInfo)>>, StoreError> {
        let mut copies: HashMap<_, Vec<_>> = HashMap::new();
        let mut listing = self.records.objects.list(&keys::shard(keys::ORIGINALS, first_byte), None);
        while let Some(info) = listing.try_next().await? {
            if let Some((image_id, copy)) = keys::copy_of_original(&info.key) {
                copies.entry(image_id).or_default().push((copy, info));
            }
        }
        Ok(copies)
    }
}

/// What a collection holds of the images whose ids begin with one of these bytes.
pub(crate) async fn versions(
    collection: &dyn Collection,
    first_bytes: &RangeInclusive<u8>,
) -> Result<HashMap<ImageId, Version>, IndexError> {
    let mut versions = HashMap::new();
    let mut scan = collection.scan();
    while let Some((image_id, version)) = scan.try_next().await? {
        if first_bytes.contains(&image_id.digest()[0]) {
            versions.insert(image_id, version);
        }
    }
    Ok(versions)
}

/// Ranges of first bytes whose index entries fit in memory together. Ids are hashes, so every byte has as many.
pub(crate) fn shards(entries: u64) -> impl Iterator<Item = RangeInclusive<u8>> + Send {
    let shards = entries.div_ceil(SHARD_ENTRIES).clamp(1, 256) as usize;
    let bytes = 256_usize.div_ceil(shards);
    (0..256).step_by(bytes).map(move |first| first as u8..=(first + bytes - 1).min(255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_first_byte_once() {
        for entries in [0, 1, 1_000_000, 1_000_001, 100_000_000, u64::MAX] {
            let bytes: Vec<u8> = shards(entries).flatten().collect();
            assert_eq!(bytes, (0..=255).collect::<Vec<_>>(), "{entries} entries");
        }
    }
}
