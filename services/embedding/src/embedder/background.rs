//! Threads for work that nobody waits for: they take what is left of the CPUs by those who search.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use shared::telemetry::carried_work;
use tokio::sync::oneshot;

/// Linux's niceness. At 10, a thread that wakes up for a search gets a CPU nine times out of ten, and at once.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

pub(super) struct Background(ThreadPool);

impl Background {
    pub(super) fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|number| format!("ingest-{number}"))
            .start_handler(|_| give_way());
        Ok(Self(pool.build()?))
    }

    /// Runs blocking work in the caller's span. A panic in it is a panic here.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = oneshot::channel();
        let work = carried_work(work);
        self.0.spawn(move || {
            // Nobody may wait any more; then the result goes.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        });
        match receiver.await.expect("the work sends before it ends, also when it panics") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs work on one of the threads now, so that threads which it starts give way as well.
    pub(super) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}

/// Best effort: where it is refused, searches only wait longer.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "ingest runs at the same priority as searches");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_give_way_and_nobody_else_does() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let background = Background::new(1).unwrap();
        assert_eq!(background.run(niceness).await, (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_the_thread_lives() {
        let background = std::sync::Arc::new(Background::new(1).unwrap());
        let work = background.clone();
        let panicked = tokio::spawn(async move { work.run(|| panic!("a fault in the work")).await }).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(background.run(|| 7).await, 7);
    }
}
