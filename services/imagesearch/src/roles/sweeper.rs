//! Mends in the background what a process that died in between has left: at start and every few minutes.

use std::{sync::Arc, time::Duration};

use backends::{
    Stores,
    index::Collection,
    survey::SurveyOptions,
    sweep::{Swept, sweep},
};
use tokio_util::sync::CancellationToken;

pub(super) async fn run(
    stores: Stores,
    collection: Arc<dyn Collection>,
    interval: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // Nobody else uses embedded stores: what is older than this process can't be under way any more.
    let mut options = SurveyOptions::alone_since(stores.opened);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            swept = sweep(&stores, &collection, options) => match swept {
                Ok(swept) if swept == Swept::default() => tracing::info!("swept: index and queue agree with the stored images"),
                Ok(swept) => tracing::info!(
                    enqueued = swept.enqueued, left = swept.left, mended = swept.mended, unmended = swept.unmended,
                    "swept: index and queue were brought in line with the stored images"
                ),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the sweep broke off; it is tried again"),
            },
        }
        options = SurveyOptions::while_serving();
    }
}
