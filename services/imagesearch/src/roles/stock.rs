//! Tells the metrics what queue and index hold, every few seconds: a scrape must not wait for a store.

use std::{sync::Arc, time::Duration};

use backends::{
    active::ActiveCollections,
    queue::{JobQueue, QueueError},
};
use futures::future::join;
use shared::metrics::stock::{self, Queue};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// A scrape comes every 15 s or so.
const EVERY: Duration = Duration::from_secs(5);
/// Who takes longer did not say.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn watch(
    queue: Arc<dyn JobQueue>,
    active: ActiveCollections,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let collection = active.searched();
        let (queue, vectors) =
            join(timeout(PATIENCE, look(queue.as_ref())), timeout(PATIENCE, collection.count(None))).await;
        // Why it did not say is counted with the call, and logged where it matters to somebody.
        stock::set_queue(queue.ok().and_then(Result::ok).as_ref());
        stock::set_vectors(vectors.ok().and_then(Result::ok));
    }
}

async fn look(queue: &dyn JobQueue) -> Result<Queue, QueueError> {
    let (depth, tasks) = tokio::try_join!(queue.depth(), queue.counts())?;
    Ok(Queue { waiting: depth.queued, in_flight: depth.in_flight, oldest: depth.oldest, tasks })
}
