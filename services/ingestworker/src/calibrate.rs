//! Keeps the calibration of the collection up with what is indexed, beside the stages and never in their way.

use std::{sync::Arc, time::Duration};

use backends::{
    calibration::{self, Calibration},
    error::StoreError,
};
use embedding::EmbedError;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::Worker;

/// What photos, drawings and scans may show, a caption a line: whatever is indexed, most of them are not of it.
/// Written for this and free for everybody (CC0).
const CAPTIONS: &str = include_str!("calibrate/captions.txt");

/// A flood of images makes one look in this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum CalibrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the captions to measure with have no vectors")]
    Captions(#[from] EmbedError),
}

/// The vectors of [`CAPTIONS`].
type Captions = Arc<[Vec<f32>]>;

/// Looks once at the start, since what is indexed may have come from an archive or an earlier version.
pub(crate) async fn run(worker: Arc<Worker>) {
    let captions = OnceCell::new();
    loop {
        match look(&worker, &captions).await {
            Ok(None) => {}
            Ok(Some(Calibration { images, .. })) => info!(images, "the scores of the collection were measured"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the scores of the collection can't be measured; tried again with the next images");
            }
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        worker.indexed.notified().await;
    }
}

async fn look(worker: &Worker, captions: &OnceCell<Captions>) -> Result<Option<Calibration>, CalibrateError> {
    let (objects, collection) = (worker.stores.objects.as_ref(), worker.collection.as_ref());
    let Some(due) = calibration::due(objects, collection).await? else { return Ok(None) };
    let captions = captions.get_or_try_init(|| embed_captions(worker)).await?;
    Ok(due.measure(objects, collection, captions.clone()).await?)
}

async fn embed_captions(worker: &Worker) -> Result<Captions, EmbedError> {
    Ok(worker.embedder.embed_reference_texts(CAPTIONS.lines()).await?.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_caption_is_one_of_its_own() {
        let captions: HashSet<_> = CAPTIONS.lines().map(str::trim).filter(|caption| !caption.is_empty()).collect();
        assert_eq!((captions.len(), CAPTIONS.lines().count()), (128, 128));
    }
}
