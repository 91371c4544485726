//! Mends what a survey finds, and makes jobs in batches that the queue has room for.

use std::{sync::Arc, time::Duration};

use shared::{FailureCode, ImageRecord, Job, ModelFingerprint, TaskFailure};

use crate::{
    error::StoreError,
    keys,
    projection::{Projection, job_for},
    queue::{JobQueue, QueueError},
    records::Records,
    survey::Difference,
};

/// Jobs accepted in one step of the queue.
const BATCH: usize = 256;
const WAIT_FOR_ROOM: Duration = Duration::from_millis(200);

/// What to do when the queue has no room for more jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for workers to make room.
    Wait,
    /// Leave the rest to a later sweep.
    Leave,
}

/// Makes jobs for images, many at a time.
pub(crate) struct Enqueuer {
    queue: Arc<dyn JobQueue>,
    model: ModelFingerprint,
    when_full: WhenFull,
    pending: Vec<Job>,
    pub(crate) enqueued: u64,
    /// Jobs that the queue had no room for.
    pub(crate) left: u64,
}

/// What became of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repaired {
    Mended,
    /// Mended once a worker has done its job.
    JobMade,
    /// Only a person can tell what was meant.
    NotByUs,
}

impl Enqueuer {
    pub(crate) fn new(queue: Arc<dyn JobQueue>, model: ModelFingerprint, when_full: WhenFull) -> Self {
        Self { queue, model, when_full, pending: Vec::with_capacity(BATCH), enqueued: 0, left: 0 }
    }

    pub(crate) async fn add(&mut self, record: &ImageRecord) -> Result<(), QueueError> {
        self.pending.push(job_for(record, &self.model));
        if self.pending.len() < BATCH { Ok(()) } else { self.flush().await }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), QueueError> {
        let jobs = std::mem::take(&mut self.pending);
        let (mut rest, mut batch) = (jobs.as_slice(), BATCH);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            match self.queue.enqueue(now).await {
                Ok(()) => {
                    self.enqueued += now.len() as u64;
                    rest = later;
                }
                // It takes all or none, and there may be room for some.
                Err(QueueError::Full { .. }) if batch > 1 => batch /= 2,
                Err(QueueError::Full { .. }) if self.when_full == WhenFull::Wait => {
                    tokio::time::sleep(WAIT_FOR_ROOM).await;
                    batch = BATCH;
                }
                Err(QueueError::Full { .. }) => {
                    self.left += rest.len() as u64;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Mends a difference; jobs go through `enqueuer`, which must be flushed at the end.
pub(crate) async fn repair(
    difference: &Difference,
    records: &Records,
    projection: &Projection,
    enqueuer: &mut Enqueuer,
) -> Result<Repaired, StoreError> {
    match difference {
        Difference::NotIndexed(record) => {
            enqueuer.add(record).await?;
            return Ok(Repaired::JobMade);
        }
        Difference::StaleDocument(image_id) | Difference::NotForgotten(image_id) => projection.align(*image_id).await?,
        Difference::OriginalMissing(record) => give_up(record, records, projection).await?,
        Difference::OriginalDamaged(record) => {
            if let Some(copy) = record.original {
                records.objects.delete(&keys::original(record.image_id, copy)).await?;
            }
            give_up(record, records, projection).await?;
        }
        Difference::StrayOriginal(key) => drop(records.objects.delete(key).await?),
        Difference::RecordDamaged(_) => return Ok(Repaired::NotByUs),
    }
    Ok(Repaired::Mended)
}

/// Takes an image without usable bytes out of the index, and keeps the reason: so a new upload of it is no duplicate.
async fn give_up(record: &ImageRecord, records: &Records, projection: &Projection) -> Result<(), StoreError> {
    let detail = "the stored bytes are gone or damaged; upload the image again or delete it".into();
    let failure = TaskFailure { code: FailureCode::OriginalMissing, detail };
    records.set_failure(record.image_id, record.version, &failure).await?;
    projection.align(record.image_id).await
}
