//! Mends in the background what a process that died in between has left: at start and every few minutes.

use std::time::Duration;

use backends::{
    Stores,
    active::ActiveCollections,
    survey::SurveyOptions,
    sweep::{Swept, sweep},
};
use jiff::{SignedDuration, Timestamp};
use shared::{
    config::Config,
    metrics::stock::{self, SweepAction},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::up::tell_rebuild;

/// How often an index of another process is looked at, whether it still has the collection.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often a sweep reads every record, whatever is known of it.
const READ_ALL_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// More than clocks may differ by, so that what changed during the last sweep is read by the next one.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(30);

/// Which records need not be read again: millions of requests, where the store is a bucket.
#[derive(Default)]
struct Unread {
    last_full: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Unread {
    /// Records that are older than this were looked at.
    fn before(&self, now: Timestamp) -> Timestamp {
        let is_recent = |full: &Timestamp| now.duration_since(*full) < READ_ALL_EVERY;
        let last = self.last.filter(|_| self.last_full.as_ref().is_some_and(is_recent));
        last.and_then(|last| last.checked_sub(CLOCK_TOLERANCE).ok()).unwrap_or(Timestamp::MIN)
    }

    fn swept(&mut self, started: Timestamp) {
        if self.before(started) == Timestamp::MIN {
            self.last_full = Some(started);
        }
        self.last = Some(started);
    }
}

pub(super) struct Sweeper {
    stores: Stores,
    active: ActiveCollections,
    interval: Duration,
    stray_after: Duration,
    /// Nobody else uses the stores: what is older than this process can't be under way any more.
    is_alone: bool,
}

impl Sweeper {
    /// Of the collection that is searched: one that fills beside it is looked after by who fills it.
    pub(super) fn new(config: &Config, stores: &Stores, active: &ActiveCollections) -> Self {
        Self {
            stores: stores.clone(),
            active: active.clone(),
            interval: Duration::from_secs(config.ingestapi.sweep_interval_s),
            stray_after: Duration::from_secs(config.ingestapi.stray_after_s),
            is_alone: !config.embedded_stores().is_empty(),
        }
    }

    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut is_first = true;
        let mut unread = Unread::default();
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
                _ = looks.tick(), if !self.is_alone => tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    has_remade = self.has_remade() => {
                        if !has_remade {
                            continue;
                        }
                        unread = Unread::default();
                    }
                },
            }
            let started = Timestamp::now();
            // What may be under way later is told from the time of each sweep.
            let options = if is_first && self.is_alone {
                SurveyOptions::alone_since(self.stores.opened)
            } else {
                SurveyOptions::while_serving(self.stray_after)
            };
            let options = SurveyOptions { settled_before: unread.before(started), ..options };
            let collection = self.active.searched();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                swept = sweep(&self.stores, &collection, options) => match swept {
                    Ok(swept) => {
                        is_first = false;
                        unread.swept(started);
                        report(swept);
                    }
                    Err(error) => {
                        stock::sweep_failed();
                        tracing::warn!(error = &error as &dyn std::error::Error, "the sweep broke off; it is tried again");
                    }
                },
            }
        }
    }

    /// Whether the index had lost the collection, for instance with its volume; it has an empty one again then. Until that
    /// nothing can be found or indexed, so the next sweep should not be waited for.
    async fn has_remade(&self) -> bool {
        if self.stores.index.ready().await.is_ok() {
            return false;
        }
        let spec = self.active.searched().spec().clone();
        // Fails as long as the index is only away.
        let Ok(opened) = self.stores.open_collection(&spec.model, spec.dimension).await else { return false };
        self.active.add(&opened.collection);
        tell_rebuild(opened.rebuild);
        opened.rebuild.is_some()
    }
}

fn report(swept: Swept) {
    let Swept { enqueued, left, mended, unmended } = swept;
    stock::swept([
        (SweepAction::Enqueued, enqueued),
        (SweepAction::Left, left),
        (SweepAction::Mended, mended),
        (SweepAction::Unmended, unmended),
    ]);
    if swept == Swept::default() {
        return tracing::info!("swept: index and queue agree with the stored images");
    }
    tracing::info!(
        enqueued,
        left,
        mended,
        unmended,
        "swept: index and queue were brought in line with the stored images"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_day_everything_is_read_and_in_between_what_changed() {
        let hour = |hour: i64| Timestamp::from_second(hour * 3600).expect("a time");
        let mut unread = Unread::default();
        assert_eq!(unread.before(hour(100)), Timestamp::MIN, "nothing was read yet");
        unread.swept(hour(100));
        for now in [101, 110, 123] {
            assert!(unread.before(hour(now)) > Timestamp::MIN && unread.before(hour(now)) < hour(now - 1));
            unread.swept(hour(now));
        }
        assert_eq!(unread.before(hour(124)), Timestamp::MIN, "a day ago");
        unread.swept(hour(124));
        assert!(unread.before(hour(125)) > Timestamp::MIN);
    }
}
