//! Fills the collection of another model from the stored images, and tells what one collection lacks of another.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::TryStreamExt;
use jiff::Timestamp;
use shared::{ImageId, Version};

use crate::{
    error::StoreError,
    index::{Collection, IndexError},
    queue::JobQueue,
    repair::{Enqueuer, WhenFull, repair},
    stores::Stores,
    survey::{Finding, Survey, SurveyOptions, shards, versions},
};

/// Jobs may wait while more are made: enough to keep workers busy, and few beside what uploads need.
const MAX_WAITING: u64 = 512;
/// Jobs made between two looks at how many wait.
const LOOK_EVERY: u64 = 128;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes jobs for all stored images that the collection lacks, never many at once; returns how many. It may break off at any
/// moment: the next call goes on with what is still lacking.
///
/// The collection must be one of those that uploads go to by now: then every record without a job is older than this call.
pub async fn fill(stores: &Stores, collection: &Arc<dyn Collection>, stray_after: Duration) -> Result<u64, StoreError> {
    let projection = stores.projection(collection);
    let mut enqueuer = Enqueuer::new(stores.queue.clone(), collection.spec().model.clone(), WhenFull::Wait);
    let options = SurveyOptions { records_before: Timestamp::now(), ..SurveyOptions::while_serving(stray_after) };
    let mut findings = Survey::new(stores, collection, options).findings();
    let mut made = 0;
    while let Some(finding) = findings.try_next().await? {
        let Finding::Difference(difference) = finding else { continue };
        repair(&difference, &stores.records, &projection, &mut enqueuer).await?;
        made += 1;
        if made % LOOK_EVERY == 0 {
            enqueuer.flush().await?;
            until_few_wait(stores.queue.as_ref()).await?;
        }
    }
    enqueuer.flush().await?;
    Ok(enqueuer.enqueued)
}

async fn until_few_wait(queue: &dyn JobQueue) -> Result<(), StoreError> {
    while queue.depth().await?.queued > MAX_WAITING {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Which images of one collection another one lacks, or has at an older version: `most` of them at most. More than the one
/// holds is no fault. Memory is bounded as that of a survey is.
pub async fn lacking(
    one: &dyn Collection,
    other: &dyn Collection,
    most: usize,
) -> Result<HashSet<(ImageId, Version)>, IndexError> {
    let mut lacking = HashSet::new();
    for first_bytes in shards(other.count(None).await?) {
        let there = versions(other, &first_bytes).await?;
        let mut scan = one.scan();
        while let Some((image_id, version)) = scan.try_next().await? {
            let is_there = there.get(&image_id).is_some_and(|found| *found >= version);
            if first_bytes.contains(&image_id.digest()[0]) && !is_there {
                lacking.insert((image_id, version));
            }
            if lacking.len() == most {
                return Ok(lacking);
            }
        }
    }
    Ok(lacking)
}

#[cfg(test)]
mod tests;
