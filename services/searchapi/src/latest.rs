//! The calibration of the collection, as it was read last: searches don't wait for the object store.

use std::{sync::Arc, time::Duration};

use backends::{
    calibration::{self, Calibration},
    objects::ObjectStore,
};
use shared::ModelFingerprint;
use tokio::sync::watch;

/// Workers measure a collection again as it grows.
const READ_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Latest(watch::Receiver<Option<Calibration>>);

impl Latest {
    /// Reads in the background, as long as somebody wants to know.
    pub(crate) fn follow(objects: Arc<dyn ObjectStore>, model: ModelFingerprint) -> Self {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            while !sender.is_closed() {
                // Why a store does not say is counted with the call; what it said last still holds.
                if let Ok(read) = calibration::read(objects.as_ref(), &model).await {
                    sender.send_replace(read);
                }
                // Ends at once when nobody is left.
                let _ = tokio::time::timeout(READ_EVERY, sender.closed()).await;
            }
        });
        Self(receiver)
    }

    pub(crate) fn get(&self) -> Option<Calibration> {
        *self.0.borrow()
    }
}
