//! Rebuilds index and task states from the objects alone. Deletes are honoured, as their records say so.

use std::sync::Arc;

use futures::TryStreamExt;
use shared::ModelFingerprint;

use crate::{
    error::StoreError,
    index::Collection,
    keys,
    repair::{Enqueuer, WhenFull},
    stores::Stores,
};

/// What a rebuild begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reindexing {
    /// Jobs made, one a present image; also for those that failed before, so that their tasks come back.
    pub enqueued: u64,
    /// Jobs that the queue had no room for; sweeps make them.
    pub left: u64,
    pub deleted: u64,
    /// Records that can't be read; `imagesearch check` names them.
    pub damaged: u64,
}

/// The first half: forgets the tasks of all stored images, and the model's collection. The collection that is returned is empty and fills as
/// workers do their jobs; any that was open before must not be used any more. Whoever dies after this is covered by the
/// sweep: an empty collection beside records is taken for a lost one.
pub async fn begin(
    stores: &Stores,
    model: &ModelFingerprint,
    dimension: usize,
) -> Result<Arc<dyn Collection>, StoreError> {
    stores.queue.clear().await?;
    stores.queue.adopt(model).await?;
    stores.index.remove(model).await?;
    Ok(stores.open_collection(model, dimension).await?.collection)
}

/// The second half: makes a job for every present image.
pub async fn enqueue_all(
    stores: &Stores,
    model: &ModelFingerprint,
    when_full: WhenFull,
    progress: &(dyn Fn(Reindexing) + Send + Sync),
) -> Result<Reindexing, StoreError> {
    let mut done = Reindexing::default();
    let mut enqueuer = Enqueuer::new(stores.queue.clone(), model.clone(), when_full);
    let mut records = stores.records.list(keys::RECORDS, None);
    while let Some(stored) = records.try_next().await? {
        match stored.record {
            Ok(record) if record.document().is_some() => enqueuer.add(&record).await?,
            Ok(_) => done.deleted += 1,
            Err(_) => done.damaged += 1,
        }
        done = Reindexing { enqueued: enqueuer.enqueued, left: enqueuer.left, ..done };
        progress(done);
    }
    enqueuer.flush().await?;
    Ok(Reindexing { enqueued: enqueuer.enqueued, left: enqueuer.left, ..done })
}

#[cfg(test)]
mod tests;
