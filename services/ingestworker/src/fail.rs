//! The end of a job that can't be done.

use backends::queue::Outcome;
use shared::{FailureCode, ImageId, TaskFailure};
use tracing::{Instrument, warn};

use crate::{Worker, fault::Fault, leases::Held, prepare::record_fault};

impl Worker {
    /// Ends a job, or gives it back, as its fault deserves. While a store is away, every job would fail, and none is to
    /// blame: the attempt doesn't count, and no more jobs are fetched until the store is back. A permanent fault is told to
    /// the image's record first, so that neither the sweep nor a rebuild tries again what can't be done.
    pub(crate) async fn fail(&self, held: Held, image_id: Option<ImageId>, fault: Fault) {
        let span = held.span().clone();
        self.settle_failed(held, image_id, fault).instrument(span).await;
    }

    async fn settle_failed(&self, held: Held, image_id: Option<ImageId>, fault: Fault) {
        if matches!(fault, Fault::Store(_)) && self.availability.doubt().await {
            return held.hand_back().await;
        }
        let (Fault::Permanent(failure), Some(image_id)) = (&fault, image_id) else { return held.fail(fault).await };
        // What another model than the one that is searched can't do must not take the image from those who search.
        if failure.code == FailureCode::UnusableVector && !self.is_searched() {
            return held.fail(fault).await;
        }
        match self.record_failure(image_id, failure).await {
            Ok(true) => held.fail(fault).await,
            Ok(false) => held.end(Outcome::Superseded).await,
            Err(fault) => held.fail(fault).await,
        }
    }

    fn is_searched(&self) -> bool {
        self.projection.active().searched().spec().model == *self.embedder.fingerprint()
    }

    /// False when the image is gone: then nobody cares any more why it could not be indexed.
    async fn record_failure(&self, image_id: ImageId, failure: &TaskFailure) -> Result<bool, Fault> {
        let records = &self.stores.records;
        // What is wrong with the bytes is wrong with every version of them: a change in between gets the same answer.
        while let Some(record) = records.get(image_id).await.map_err(|error| record_fault(&error))? {
            if record.document().is_none() {
                return Ok(false);
            }
            if records
                .set_failure(image_id, record.version, failure)
                .await
                .map_err(|error| record_fault(&error))?
                .is_some()
            {
                if let Err(error) = self.projection.align(image_id).await {
                    warn!(%image_id, %error, "cannot bring the index in line now; the sweep does it");
                }
                return Ok(true);
            }
        }
        Ok(false)
    }
}
