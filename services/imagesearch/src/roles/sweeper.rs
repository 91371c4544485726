//! Mends in the background what a process that died in between has left: at start and every few minutes.

use std::{sync::Arc, time::Duration};

use backends::{
    Stores,
    index::Collection,
    survey::SurveyOptions,
    sweep::{Swept, sweep},
};
use shared::config::Config;
use tokio_util::sync::CancellationToken;

pub(super) struct Sweeper {
    stores: Stores,
    collection: Arc<dyn Collection>,
    interval: Duration,
    /// Nobody else uses the stores: what is older than this process can't be under way any more.
    is_alone: bool,
}

impl Sweeper {
    pub(super) fn new(config: &Config, stores: &Stores, collection: &Arc<dyn Collection>) -> Self {
        Self {
            stores: stores.clone(),
            collection: collection.clone(),
            interval: Duration::from_secs(config.ingestapi.sweep_interval_s),
            is_alone: !config.embedded_stores().is_empty(),
        }
    }

    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut is_first = true;
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // What may be under way later is told from the time of each sweep.
            let options = if is_first && self.is_alone {
                SurveyOptions::alone_since(self.stores.opened)
            } else {
                SurveyOptions::while_serving()
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                swept = sweep(&self.stores, &self.collection, options) => match swept {
                    Ok(swept) => {
                        is_first = false;
                        report(swept);
                    }
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the sweep broke off; it is tried again"),
                },
            }
        }
    }
}

fn report(swept: Swept) {
    if swept == Swept::default() {
        return tracing::info!("swept: index and queue agree with the stored images");
    }
    tracing::info!(
        enqueued = swept.enqueued,
        left = swept.left,
        mended = swept.mended,
        unmended = swept.unmended,
        "swept: index and queue were brought in line with the stored images"
    );
}
