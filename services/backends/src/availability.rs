//! Whether stores answer, as far as those who use them have noticed: a circuit breaker whose trial is the stores' own
//! readiness, so that no request and no job has to be spent on finding out.

use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use shared::metrics::limit::{self, Circuit};
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use crate::{error::StoreError, index::VectorIndex, stores::Stores};

/// A store that takes longer to say that it is ready is away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two looks at what is away.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Shared by all that use the same stores.
#[derive(Clone)]
pub struct Availability(Arc<Inner>);

struct Inner {
    circuit: Circuit,
    look: Box<dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>,
    /// Why they are away.
    away: watch::Sender<Option<String>>,
    /// One looks for all.
    looking: Mutex<()>,
}

impl Availability {
    /// All stores of a deployment.
    pub fn of_stores(stores: &Stores, circuit: Circuit) -> Self {
        let Stores { objects, queue, index, .. } = stores.clone();
        Self::new(circuit, move || {
            let (objects, queue, index) = (objects.clone(), queue.clone(), index.clone());
            async move {
                let objects = async { Ok(objects.ready().await?) };
                let queue = async { Ok(queue.ready().await?) };
                let index = async { Ok(index.ready().await?) };
                tokio::try_join!(objects, queue, index).map(drop)
            }
            .boxed()
        })
    }

    pub fn of_index(index: &Arc<dyn VectorIndex>, circuit: Circuit) -> Self {
        let index = index.clone();
        Self::new(circuit, move || {
            let index = index.clone();
            async move { Ok(index.ready().await?) }.boxed()
        })
    }

    fn new(
        circuit: Circuit,
        look: impl Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync + 'static,
    ) -> Self {
        limit::set_open(circuit, false);
        let away = watch::Sender::new(None);
        Self(Arc::new(Inner { circuit, look: Box::new(look), away, looking: Mutex::default() }))
    }

    /// Why the stores are known to be away; whoever asks needn't find out by waiting.
    pub fn away(&self) -> Option<String> {
        self.0.away.borrow().clone()
    }

    /// Looks, after a fault that may have been the stores', whether they are away. Until they are back they are looked at
    /// in the background.
    pub async fn doubt(&self) -> bool {
        let looking = self.0.looking.lock().await;
        if self.away().is_some() {
            return true;
        }
        let Err(reason) = self.0.look().await else { return false };
        tracing::warn!(reason, "a store is away; nothing is asked of it until it is back");
        self.0.away.send_replace(Some(reason));
        limit::set_open(self.0.circuit, true);
        drop(looking);
        tokio::spawn(self.clone().watch());
        true
    }

    /// The same for who doesn't wait for the answer.
    pub fn doubt_later(&self) {
        if self.0.looking.try_lock().is_ok() {
            let availability = self.clone();
            tokio::spawn(async move { availability.doubt().await });
        }
    }

    /// Waits as long as they are known to be away.
    pub async fn until_there(&self) {
        // Fails only when the sender is gone, which is here.
        let _ = self.0.away.subscribe().wait_for(Option::is_none).await;
    }

    async fn watch(self) {
        while let Err(reason) = self.0.look().await {
            self.0.away.send_replace(Some(reason));
            sleep(LOOK_AGAIN).await;
        }
        tracing::info!("the store is back");
        limit::set_open(self.0.circuit, false);
        self.0.away.send_replace(None);
    }
}

impl Inner {
    async fn look(&self) -> Result<(), String> {
        match timeout(LOOK_TIMEOUT, (self.look)()).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

impl fmt::Debug for Availability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Availability").field("away", &self.away()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::index::IndexError;

    fn availability() -> (Availability, Arc<AtomicBool>) {
        let is_there = Arc::new(AtomicBool::new(true));
        let seen = is_there.clone();
        let look = move || {
            let answer = seen.load(Ordering::Relaxed).then_some(()).ok_or_else(|| {
                StoreError::from(IndexError::Unavailable { context: "gone".into(), source: "for a test".into() })
            });
            async { answer }.boxed()
        };
        (Availability::new(Circuit::Search, look), is_there)
    }

    #[tokio::test(start_paused = true)]
    async fn away_from_the_first_doubt_until_the_store_is_back() {
        let (availability, is_there) = availability();
        assert!(!availability.doubt().await, "a fault of the request's own");
        is_there.store(false, Ordering::Relaxed);
        assert_eq!(availability.away(), None, "nobody has noticed yet");
        assert!(availability.doubt().await);
        assert!(availability.away().is_some_and(|reason| reason.contains("gone")));
        assert!(timeout(Duration::from_mins(1), availability.until_there()).await.is_err());
        is_there.store(true, Ordering::Relaxed);
        availability.until_there().await;
        assert_eq!(availability.away(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_away() {
        let availability = Availability::new(Circuit::Ingest, || std::future::pending().boxed());
        availability.doubt_later();
        sleep(LOOK_TIMEOUT * 2).await;
        assert_eq!(availability.away().as_deref(), Some("no answer in time"));
    }
}
