//! Mends what somebody who died in between has left: run at start and every few minutes.

use std::sync::Arc;

use futures::TryStreamExt;

use crate::{
    error::StoreError,
    index::Collection,
    repair::{Enqueuer, Repaired, WhenFull, repair},
    stores::Stores,
    survey::{Finding, Survey, SurveyOptions},
};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs made for images that had neither vector nor task.
    pub enqueued: u64,
    /// Jobs that the queue had no room for; the next sweep tries again.
    pub left: u64,
    /// Other differences that were mended at once.
    pub mended: u64,
    /// Differences that only a person can mend; `imagesearch check` lists them.
    pub unmended: u64,
}

/// Brings index and queue in line with the records.
pub async fn sweep(
    stores: &Stores,
    collection: &Arc<dyn Collection>,
    options: SurveyOptions,
) -> Result<Swept, StoreError> {
    let projection = stores.projection(collection);
    let mut enqueuer = Enqueuer::new(stores.queue.clone(), collection.spec().model.clone(), WhenFull::Leave);
    let mut swept = Swept::default();
    let mut findings = Survey::new(stores, collection, options).findings();
    while let Some(finding) = findings.try_next().await? {
        let Finding::Difference(difference) = finding else { continue };
        match repair(&difference, &stores.records, &projection, &mut enqueuer).await? {
            Repaired::JobMade => {}
            Repaired::Mended => swept.mended += 1,
            Repaired::NotByUs => swept.unmended += 1,
        }
    }
    enqueuer.flush().await?;
    Ok(Swept { enqueued: enqueuer.enqueued, left: enqueuer.left, ..swept })
}

#[cfg(test)]
mod tests;
