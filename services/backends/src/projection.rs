//! Brings the index in line with the records: write, then look again. docs/architecture.md tells why this order is enough.
//! Every change of the index for an image goes through here, whoever makes it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use shared::{ImageDocument, ImageId, ImageRecord, Job, JobSource, ModelFingerprint, TaskId};

use crate::{
    active::ActiveCollections,
    error::StoreError,
    index::{Collection, Point},
    keys,
    queue::{JobQueue, QueueError},
    records::Records,
};

/// Records read at once when a batch is looked at again.
const READ_AHEAD: usize = 16;

/// An image and what the model made of it. The vector follows from the bytes, so it is that of every version.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// As it was read when its bytes were, facts included.
    pub record: ImageRecord,
    /// Unit length.
    pub vector: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// A search that starts now finds the image.
    Indexed,
    /// The image was deleted meanwhile, and is not in the index.
    Superseded,
}

#[derive(Clone)]
pub struct Projection {
    records: Records,
    queue: Arc<dyn JobQueue>,
    active: ActiveCollections,
}

impl Projection {
    pub fn new(records: Records, queue: Arc<dyn JobQueue>, active: impl Into<ActiveCollections>) -> Self {
        Self { records, queue, active: active.into() }
    }

    pub fn active(&self) -> &ActiveCollections {
        &self.active
    }

    /// Writes embedded images into a model's collection, one write a batch, and keeps at it until their records are those
    /// that were written. The answers are in the order of `images`.
    pub async fn present(
        &self,
        collection: &dyn Collection,
        images: &[Embedded],
    ) -> Result<Vec<Presented>, StoreError> {
        let mut records: Vec<_> = images.iter().map(|image| Some(image.record.clone())).collect();
        let mut unsettled: Vec<usize> = (0..images.len()).collect();
        while !unsettled.is_empty() {
            write(collection, images, &records, &unsettled).await?;
            let looked_at = self.look_at(images, &unsettled).await?;
            unsettled.clear();
            for (position, record) in looked_at {
                if records[position] != record {
                    records[position] = record;
                    unsettled.push(position);
                }
            }
        }
        let outcome = |record: &Option<ImageRecord>| match searchable(record.as_ref()) {
            Some(_) => Presented::Indexed,
            None => Presented::Superseded,
        };
        Ok(records.iter().map(outcome).collect())
    }

    /// Brings everything that is kept of an image in line with its record, as far as that needs no model: the document
    /// beside its vector, or, when it is deleted, the removal of vector, original and variants. To be called after
    /// `Records::delete` and `Records::change_metadata`.
    pub async fn align(&self, image_id: ImageId) -> Result<(), StoreError> {
        let mut has_removed = false;
        let mut record = self.records.get(image_id).await?;
        loop {
            if let Some(document) = searchable(record.as_ref()) {
                self.set_document(document).await?;
            } else {
                self.remove_vectors(image_id).await?;
                has_removed = true;
            }
            if record.as_ref().is_none_or(|record| record.document().is_none()) {
                self.remove_bytes(image_id, record.as_ref()).await?;
            }
            let again = self.records.get(image_id).await?;
            if again == record {
                break;
            }
            record = again;
        }
        match record {
            Some(record) if has_removed && record.searchable().is_some() => self.make_up_for(&record).await,
            _ => Ok(()),
        }
    }

    /// Makes jobs for the models that are active beside `model`, which has its own.
    pub async fn enqueue_beside(&self, model: &ModelFingerprint, record: &ImageRecord) -> Result<(), QueueError> {
        let active = self.active.all();
        let beside = active.iter().map(|collection| &collection.spec().model).filter(|other| *other != model);
        let jobs: Vec<Job> = beside.map(|other| job_for(record, other)).collect();
        if jobs.is_empty() { Ok(()) } else { self.queue.enqueue(&jobs).await }
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<(), StoreError> {
        for collection in self.active.all().iter() {
            collection.set_document(document).await?;
        }
        Ok(())
    }

    async fn remove_vectors(&self, image_id: ImageId) -> Result<(), StoreError> {
        for collection in self.active.all().iter() {
            collection.delete(&[image_id]).await?;
        }
        Ok(())
    }

    /// Removes the copy that the deleted record names, and the variants. A later upload has a copy of another name, so this
    /// can't touch it, however late it comes; variants that it removes too many are made again.
    async fn remove_bytes(&self, image_id: ImageId, record: Option<&ImageRecord>) -> Result<(), StoreError> {
        let objects = &self.records.objects;
        if let Some(copy) = record.and_then(|record| record.original) {
            objects.delete(&keys::original(image_id, copy)).await?;
        }
        let mut variants = objects.list(&keys::variants(image_id), None);
        while let Some(variant) = variants.try_next().await? {
            objects.delete(&variant.key).await?;
        }
        Ok(())
    }

    /// The image came back while its vector was being removed, and its worker may have been faster: then the vector that
    /// was removed is the new one. Its task may be over or be alive, so only the index can say.
    async fn make_up_for(&self, record: &ImageRecord) -> Result<(), StoreError> {
        for collection in self.active.all().iter() {
            if collection.get(record.image_id).await?.is_none() {
                match self.queue.enqueue(&[job_for(record, &collection.spec().model)]).await {
                    // The delete itself is done; the sweep makes the job once there is room.
                    Err(QueueError::Full { .. }) => {
                        tracing::warn!(image_id = %record.image_id, "left to the sweep: queue full");
                    }
                    enqueued => enqueued?,
                }
            }
        }
        Ok(())
    }

    async fn look_at(
        &self,
        images: &[Embedded],
        positions: &[usize],
    ) -> Result<Vec<(usize, Option<ImageRecord>)>, StoreError> {
        let reads = positions.iter().map(|&position| {
            let (records, image_id) = (self.records.clone(), images[position].record.image_id);
            async move { records.get(image_id).await.map(|record| (position, record)) }
        });
        Ok(stream::iter(reads.collect::<Vec<_>>()).buffered(READ_AHEAD).try_collect().await?)
    }
}

/// A job that brings a stored image into a model's collection.
pub fn job_for(record: &ImageRecord, model: &ModelFingerprint) -> Job {
    Job {
        task_id: TaskId::new(),
        model: model.clone(),
        source: JobSource::Stored { image_id: record.image_id, version: record.version },
        name: record.document().and_then(|document| document.name.clone()),
        created: Timestamp::now(),
        traceparent: None,
    }
}

async fn write(
    collection: &dyn Collection,
    images: &[Embedded],
    records: &[Option<ImageRecord>],
    positions: &[usize],
) -> Result<(), StoreError> {
    let (mut points, mut gone) = (Vec::new(), Vec::new());
    for &position in positions {
        match searchable(records[position].as_ref()) {
            Some(document) => {
                points.push(Point { vector: images[position].vector.clone(), document: document.clone() });
            }
            None => gone.push(images[position].record.image_id),
        }
    }
    if !points.is_empty() {
        collection.upsert(&points).await?;
    }
    if !gone.is_empty() {
        collection.delete(&gone).await?;
    }
    Ok(())
}

fn searchable(record: Option<&ImageRecord>) -> Option<&ImageDocument> {
    record.and_then(ImageRecord::searchable)
}

#[cfg(test)]
mod schedules;
