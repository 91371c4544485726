//! One image: what its listings suggest, and, where they differ, what looking again says.

use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use shared::{CopyId, ImageId, ImageRecord};

use super::{Difference, Finding, Listed, Survey};
use crate::{error::StoreError, keys, objects::ObjectInfo, records::RecordError};

impl Survey {
    pub(super) async fn examine(&self, image_id: ImageId, listed: Listed) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let record = match &listed.stored {
            Some(stored) => match &stored.record {
                Ok(record) => Some(record),
                Err(_) => return Ok(vec![Finding::Difference(Difference::RecordDamaged(image_id))]),
            },
            None => None,
        };
        match record {
            Some(record) if record.document().is_some() => findings.push(self.examine_present(record, &listed).await?),
            _ => findings.extend(self.examine_gone(image_id, record, &listed).await?),
        }
        let named = record.and_then(|record| record.original);
        for (copy, info) in listed.copies.into_iter().filter(|(copy, _)| Some(*copy) != named) {
            findings.extend(self.examine_stray(image_id, copy, info).await?);
        }
        Ok(findings)
    }

    async fn examine_present(&self, record: &ImageRecord, listed: &Listed) -> Result<Finding, StoreError> {
        let copy = listed.copies.iter().find(|(copy, _)| Some(*copy) == record.original);
        let found = if record.failure.is_some() {
            self.examine_failed(record, listed).await?
        } else if copy.is_none() {
            self.examine_missing(record).await?
        } else if listed.indexed != Some(record.version) {
            self.examine_unindexed(record, listed).await?
        } else {
            Finding::Indexed
        };
        let is_sound = !matches!(found, Finding::Difference(_));
        match copy {
            Some((copy, _)) if self.options.deep && is_sound && !self.is_undamaged(record.image_id, *copy).await? => {
                Ok(Finding::Difference(Difference::OriginalDamaged(record.clone())))
            }
            _ => Ok(found),
        }
    }

    async fn examine_failed(&self, record: &ImageRecord, listed: &Listed) -> Result<Finding, StoreError> {
        let is_indexed = listed.indexed.is_some() && self.collection.get(record.image_id).await?.is_some();
        if is_indexed && self.is_still(record).await? {
            return Ok(Finding::Difference(Difference::NotForgotten(record.image_id)));
        }
        Ok(Finding::Failed)
    }

    async fn examine_missing(&self, record: &ImageRecord) -> Result<Finding, StoreError> {
        let is_stored = match record.original {
            Some(copy) => self.records.objects.head(&keys::original(record.image_id, copy)).await?.is_some(),
            None => false,
        };
        if is_stored || !self.is_still(record).await? {
            return Ok(Finding::Waiting);
        }
        Ok(Finding::Difference(Difference::OriginalMissing(record.clone())))
    }

    async fn examine_unindexed(&self, record: &ImageRecord, listed: &Listed) -> Result<Finding, StoreError> {
        let is_young = listed.stored.as_ref().is_some_and(|stored| stored.info.modified >= self.options.records_before);
        let model = &self.collection.spec().model;
        // The task first: one that ends between the two looks has left a vector for the second.
        if is_young || self.queue.live_task(record.image_id, model).await?.is_some() {
            return Ok(Finding::Waiting);
        }
        let point = self.collection.get(record.image_id).await?;
        if !self.is_still(record).await? {
            return Ok(Finding::Waiting);
        }
        Ok(match point {
            Some(point) if point.document.version == record.version => Finding::Indexed,
            // Without facts the document would stay incomplete: only a worker can make them.
            Some(_) if record.document().is_some_and(|document| document.facts.is_some()) => {
                Finding::Difference(Difference::StaleDocument(record.image_id))
            }
            _ => Finding::Difference(Difference::NotIndexed(record.clone())),
        })
    }

    async fn examine_gone(
        &self,
        image_id: ImageId,
        record: Option<&ImageRecord>,
        listed: &Listed,
    ) -> Result<Option<Finding>, StoreError> {
        let named = record.and_then(|record| record.original);
        let has_original = listed.copies.iter().any(|(copy, _)| Some(*copy) == named);
        let is_left = has_original
            || self.collection.get(image_id).await?.is_some()
            || self.records.objects.list(&keys::variants(image_id), None).try_next().await?.is_some();
        if is_left && self.records.get(image_id).await?.as_ref() == record {
            return Ok(Some(Finding::Difference(Difference::NotForgotten(image_id))));
        }
        Ok(record.map(|_| Finding::Deleted))
    }

    async fn examine_stray(
        &self,
        image_id: ImageId,
        copy: CopyId,
        info: ObjectInfo,
    ) -> Result<Option<Finding>, StoreError> {
        if info.modified >= self.options.originals_before {
            return Ok(None);
        }
        let named = match self.records.get(image_id).await {
            Ok(record) => record.and_then(|record| record.original),
            // Whatever it names is better kept.
            Err(RecordError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok((named != Some(copy)).then_some(Finding::Difference(Difference::StrayOriginal(info.key))))
    }

    async fn is_still(&self, record: &ImageRecord) -> Result<bool, StoreError> {
        Ok(self.records.get(record.image_id).await?.as_ref() == Some(record))
    }

    /// Bytes that vanish while they are read belong to a delete that is under way.
    async fn is_undamaged(&self, image_id: ImageId, copy: CopyId) -> Result<bool, StoreError> {
        let Some((_, mut stream)) = self.records.objects.read(&keys::original(image_id, copy), None).await? else {
            return Ok(true);
        };
        let mut hasher = Sha256::new();
        while let Some(chunk) = stream.try_next().await? {
            hasher.update(&chunk);
        }
        Ok(ImageId::from_digest(hasher.finalize().into()) == image_id)
    }
}
