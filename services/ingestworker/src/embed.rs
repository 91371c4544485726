//! The second stage: pixels to vectors, as many at once as are ready, up to a batch.

use std::{panic::AssertUnwindSafe, sync::Arc};

use embedding::EmbedError;
use futures::FutureExt;
use shared::{FailureCode, ImageFacts, ImageId};
use tokio::sync::mpsc;

use crate::{Worker, fault::Fault, leases::Held, prepare::Prepared};

/// A job whose image has its vector.
pub(crate) struct Embedded {
    pub(crate) held: Held,
    pub(crate) image_id: ImageId,
    pub(crate) vector: Vec<f32>,
    pub(crate) facts: ImageFacts,
}

/// What came to no end so often goes alone: if it is what makes a whole batch fail, it takes no others with it again.
const ATTEMPTS_IN_COMPANY: u32 = 2;

pub(crate) async fn run(worker: Arc<Worker>, mut prepared: mpsc::Receiver<Prepared>, done: mpsc::Sender<Embedded>) {
    let mut ready = Vec::new();
    while prepared.recv_many(&mut ready, worker.settings.batch_size).await > 0 {
        ready.retain(|job: &Prepared| !job.held.is_lost());
        let (suspects, others): (Vec<_>, Vec<_>) =
            ready.drain(..).partition(|job| job.held.attempt() > ATTEMPTS_IN_COMPANY);
        let batches = suspects.into_iter().map(|job| vec![job]).chain((!others.is_empty()).then_some(others));
        for batch in batches {
            embed(&worker, batch, &done).await;
        }
    }
}

async fn embed(worker: &Worker, batch: Vec<Prepared>, done: &mpsc::Sender<Embedded>) {
    let (jobs, images): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| ((job.held, job.image_id), job.image)).unzip();
    let vectors = AssertUnwindSafe(worker.embedder.embed_batch(images)).catch_unwind().await;
    let Ok(vectors) = vectors else {
        let broke_off = std::io::Error::other("embedding the image broke off; the log has more");
        for (held, image_id) in jobs {
            worker.fail(held, Some(image_id), Fault::transient(&broke_off)).await;
        }
        return;
    };
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
