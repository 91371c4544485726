//! The thread that flushes and optimises a collection, so that nobody who searches or writes has to.
//!
//! A thread, not a task: a graph takes tens of seconds to build, and a process that ends must not wait for it. What it
//! was building is lost then, which costs nothing but the time. Flushes happen between builds, never during one:
//! qdrant-edge can't flush while it swaps segments.

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{super::IndexError, shard, store::Store, unavailable};

/// Without a change for so long, a collection is idle.
const IDLE: Duration = Duration::from_secs(5);

/// Larger journals are flushed even when changes keep coming; it bounds what the next start has to apply again.
const JOURNAL_BYTES: u64 = 32 << 20;

/// Points that are searched exactly before a graph is built for them while changes keep coming: a fifth of the
/// collection, so that the work for each point stays the same however large it grows, within these bounds.
const UNOPTIMIZED_POINTS: std::ops::RangeInclusive<u64> = 5_000..=25_000;

pub(super) struct Waker(SyncSender<()>);

impl Waker {
    /// Says that something changed. It is enough when one such word waits.
    pub(super) fn wake(&self) {
        let _already_waiting = self.0.try_send(());
    }
}

pub(super) fn channel() -> (Waker, Receiver<()>) {
    let (sender, receiver) = sync_channel(1);
    (Waker(sender), receiver)
}

/// Runs until the collection is dropped.
pub(super) fn start(store: &Arc<Store>, wakes: Receiver<()>) -> io::Result<()> {
    let store = Arc::downgrade(store);
    thread::Builder::new().name("index-maintenance".into()).spawn(move || run(&store, &wakes)).map(drop)
}

fn run(store: &Weak<Store>, wakes: &Receiver<()>) {
    while wakes.recv().is_ok() {
        // Something changed: look after every further change, until none comes for a while.
        loop {
            let idle = match wakes.recv_timeout(IDLE) {
                Ok(()) => false,
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Some(store) = store.upgrade() else { return };
            if let Err(error) = maintain(&store, idle) {
                tracing::warn!(collection = %store.spec.model, %error, "index maintenance failed; it is tried again after the next change");
            }
            if idle {
                break;
            }
        }
    }
}

fn maintain(store: &Store, idle: bool) -> Result<(), IndexError> {
    if idle || store.journal_length() >= JOURNAL_BYTES {
        store.checkpoint()?;
    }
    let unoptimized = store.unoptimized.load(Ordering::Relaxed);
    let points = store.with(|shard| Ok(shard.info().points_count as u64))?;
    let many = unoptimized >= (points / 5).clamp(*UNOPTIMIZED_POINTS.start(), *UNOPTIMIZED_POINTS.end());
    let due = many || (idle && unoptimized > 0);
    if !due {
        return Ok(());
    }
    store.unoptimized.fetch_sub(unoptimized, Ordering::Relaxed);
    let started = Instant::now();
    let optimized = store
        .with(|shard| shard::optimize(shard).map_err(|source| unavailable("cannot optimise the index", source)))?;
    if optimized {
        tracing::info!(collection = %store.spec.model, points, elapsed = ?started.elapsed(), "optimised the index");
        store.checkpoint()?;
    }
    Ok(())
}
