//! The second stage: pixels to vectors, as many at once as are ready, up to a batch.

use std::{panic::AssertUnwindSafe, sync::Arc};

use embedding::EmbedError;
use futures::{FutureExt, StreamExt, stream};
use shared::{
    FailureCode, ImageFacts, ImageId,
    metrics::ingest::{self, Stage},
};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::{Worker, fault::Fault, leases::Held, prepare::Prepared, spans::Batch};

/// A job whose image has its vector.
pub(crate) struct Embedded {
    pub(crate) held: Held,
    pub(crate) image_id: ImageId,
    pub(crate) vector: Vec<f32>,
    pub(crate) facts: ImageFacts,
}

/// What came to no end so often goes alone: if it is what makes a whole batch fail, it takes no others with it again.
const ATTEMPTS_IN_COMPANY: u32 = 2;

/// Batches under way: while one is written down, the next one computes.
const PARALLEL_BATCHES: usize = 2;

pub(crate) async fn run(worker: Arc<Worker>, prepared: mpsc::Receiver<Prepared>, done: mpsc::Sender<Embedded>) {
    let batch_size = worker.settings.batch_size;
    let received = stream::unfold(prepared, |mut prepared| async move {
        let mut ready = Vec::new();
        (prepared.recv_many(&mut ready, batch_size).await > 0).then_some((ready, prepared))
    });
    received
        .flat_map(|ready| stream::iter(batches(ready)))
        .for_each_concurrent(PARALLEL_BATCHES, |batch| embed(&worker, batch, &done))
        .await;
}

fn batches(mut ready: Vec<Prepared>) -> Vec<Vec<Prepared>> {
    ready.retain(|job| !job.held.is_lost());
    let (suspects, others): (Vec<_>, Vec<_>) =
        ready.into_iter().partition(|job| job.held.attempt() > ATTEMPTS_IN_COMPANY);
    suspects.into_iter().map(|job| vec![job]).chain((!others.is_empty()).then_some(others)).collect()
}

async fn embed(worker: &Worker, batch: Vec<Prepared>, done: &mpsc::Sender<Embedded>) {
    let (jobs, images): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| ((job.held, job.image_id), job.image)).unzip();
    ingest::batch(images.len());
    let stage = ingest::begin(Stage::Embed);
    let vectors = {
        let spans = Batch::new("embed", jobs.iter().map(|(held, _): &(Held, ImageId)| held.span()));
        let embedded = worker.embedder.embed_batch(images).instrument(spans.whole.clone());
        AssertUnwindSafe(embedded).catch_unwind().await
    };
    let Ok(vectors) = vectors else {
        let broke_off = std::io::Error::other("embedding the image broke off; the log has more");
        for (held, image_id) in jobs {
            worker.fail(held, Some(image_id), Fault::transient(&broke_off)).await;
        }
        return;
    };
    stage.end();
    for ((held, image_id), vector) in jobs.into_iter().zip(vectors) {
        match vector {
            Ok((vector, facts)) => {
                let facts = kept_facts(worker, facts);
                // Fails only when the worker has stopped.
                drop(done.send(Embedded { held, image_id, vector, facts }).await);
            }
            Err(error) => worker.fail(held, Some(image_id), embed_fault(&error)).await,
        }
    }
}

/// Where and when a picture was taken is kept only where the configuration says so.
fn kept_facts(worker: &Worker, facts: ImageFacts) -> ImageFacts {
    let settings = &worker.settings;
    let location = settings.keep_exif_location;
    ImageFacts {
        latitude: facts.latitude.filter(|_| location),
        longitude: facts.longitude.filter(|_| location),
        exif_date: facts.exif_date.filter(|_| settings.keep_exif_date),
        ..facts
    }
}

fn embed_fault(error: &EmbedError) -> Fault {
    if error.is_permanent() {
        Fault::permanent(FailureCode::UnusableVector, error.to_string())
    } else {
        Fault::transient(error)
    }
}
