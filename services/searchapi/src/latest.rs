//! The calibration of the collection, as it was read last: searches don't wait for the object store.

use std::{sync::Arc, time::Duration};

use backends::{
    calibration::{self, Calibration},
    objects::ObjectStore,
};
use shared::ModelFingerprint;
use tokio::{sync::watch, time::timeout};

/// Workers measure a collection again as it grows.
const READ_EVERY: Duration = Duration::from_secs(5);
/// For the first read.
const PATIENCE: Duration = Duration::from_secs(2);

/// `None` until it was read for the first time.
#[derive(Clone)]
pub(crate) struct Latest(watch::Receiver<Option<Read>>);

/// What the object store says: a calibration, or that there is none.
type Read = Option<Calibration>;

/// The object store has not said yet.
#[derive(Debug)]
pub(crate) struct NotRead;

impl Latest {
    /// Reads in the background, as long as somebody wants to know.
    pub(crate) fn follow(objects: Arc<dyn ObjectStore>, model: ModelFingerprint) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            while !sender.is_closed() {
                // Why a store does not say is counted with the call; what it said last still holds.
                if let Ok(read) = calibration::read(objects.as_ref(), &model).await {
                    sender.send_replace(Some(read));
                }
                // Ends at once when nobody is left.
                let _ = timeout(READ_EVERY, sender.closed()).await;
            }
        });
        Self(receiver)
    }

    /// For who can do without: never waits.
    pub(crate) fn get(&self) -> Option<Calibration> {
        self.0.borrow().flatten()
    }

    /// For who can't: right after the start, waits for the first read.
    pub(crate) async fn read(&self) -> Result<Option<Calibration>, NotRead> {
        let mut read = self.0.clone();
        let first = timeout(PATIENCE, read.wait_for(Option::is_some)).await;
        first.ok().and_then(Result::ok).and_then(|read| *read).ok_or(NotRead)
    }
}
