//! Sessions that are lent out one caller at a time, and work that must not run on the async threads.

use std::{
    future,
    sync::{Arc, Mutex, PoisonError},
};

use ort::session::Session;
use shared::telemetry::carried_work;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::background::Background;

/// Equal sessions of one graph. As many runs at once as there are sessions; the others wait in order of arrival.
#[derive(Clone)]
pub(super) struct SessionPool {
    idle: Arc<Mutex<Vec<Session>>>,
    permits: Arc<Semaphore>,
}

impl SessionPool {
    pub(super) fn new(sessions: Vec<Session>) -> Self {
        Self { permits: Arc::new(Semaphore::new(sessions.len())), idle: Arc::new(Mutex::new(sessions)) }
    }

    /// Sessions that nobody uses just now.
    pub(super) fn idle(&self) -> usize {
        self.permits.available_permits()
    }

    /// Runs `work` with a session of its own, off the async threads. A caller that goes away before its turn runs nothing.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Session) -> T + Send + 'static) -> T {
        let lease = self.lease().await;
        off_thread(move || lease.with(work)).await
    }

    /// The same, on threads that give way.
    pub(super) async fn run_in<T: Send + 'static>(
        &self,
        background: &Background,
        work: impl FnOnce(&mut Session) -> T + Send + 'static,
    ) -> T {
        let lease = self.lease().await;
        background.run(move || lease.with(work)).await
    }

    async fn lease(&self) -> Lease {
        let permit = acquire(&self.permits).await;
        let session = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lease { session, idle: Arc::clone(&self.idle), _permit: permit }
    }
}

/// A borrowed session; it goes back also when the work panics, or when nobody waits for the result any more.
struct Lease {
    session: Option<Session>,
    idle: Arc<Mutex<Vec<Session>>>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    fn with<T>(mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        work(self.session.as_mut().expect("there are as many permits as sessions"))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Before the permit, which is a field and goes after this.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.session.take());
    }
}

/// A place; waits for one in order of arrival.
pub(super) async fn acquire(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(permits).acquire_owned().await.expect("our semaphores are never closed")
}

/// Runs blocking work in the caller's span. A panic in it is a panic here.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(carried_work(work)).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and whoever waits here goes with it.
            Err(_cancelled) => future::pending().await,
        },
    }
}
