//! The last stage: facts into the records, vectors into the index, and the end of the jobs, as many at once as are ready.

use std::sync::Arc;

use backends::{
    error::StoreError,
    projection::{self, Presented},
    queue::Outcome,
};
use futures::{StreamExt, stream};
use shared::{
    ImageId, TaskResult,
    metrics::ingest::{self, Stage},
};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::{
    Worker,
    embed::Embedded,
    leases::Held,
    prepare::{record_fault, store_fault},
    spans::Batch,
};

/// Records and tasks of a batch written at once.
const PARALLEL_WRITES: usize = 16;

/// Images that are written in one go; more than are embedded at once, since every go waits for the disk.
const BATCH: usize = 64;

/// A job with all that the index needs.
type Described = (Held, projection::Embedded);

pub(crate) async fn run(worker: Arc<Worker>, mut embedded: mpsc::Receiver<Embedded>) {
    let mut ready = Vec::new();
    while embedded.recv_many(&mut ready, BATCH).await > 0 {
        ready.retain(|job: &Embedded| !job.held.is_lost());
        if ready.is_empty() {
            continue;
        }
        let spans = Batch::new("index", ready.iter().map(|job| job.held.span()));
        let parts = spans.parts.iter().cloned();
        let describing = ready.drain(..).zip(parts).map(|(job, part)| describe(&worker, job).instrument(part));
        let described =
            stream::iter(describing).buffered(PARALLEL_WRITES).filter_map(std::future::ready).collect().await;
        present(&worker, described).instrument(spans.whole.clone()).await;
    }
}

/// Writes the facts into the record; `None` when the job came to its end by that.
async fn describe(worker: &Worker, job: Embedded) -> Option<Described> {
    let Embedded { held, image_id, vector, facts } = job;
    match worker.stores.records.set_facts(image_id, &facts).await {
        Ok(Some(record)) => return Some((held, projection::Embedded { record, vector })),
        Ok(None) => held.end(Outcome::Superseded).await,
        Err(error) => worker.fail(held, Some(image_id), record_fault(&error)).await,
    }
    None
}

async fn present(worker: &Worker, jobs: Vec<Described>) {
    let (held, images): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    if let Ok(presented) = write(worker, &images).await {
        let ends = held
            .into_iter()
            .zip(images)
            .zip(presented)
            .map(|((held, image), presented)| held.end(outcome(image.record.image_id, presented)));
        return stream::iter(ends).for_each_concurrent(PARALLEL_WRITES, |end| end).await;
    }
    // One of them may be at fault: then the others must not share its fate. If it is the store, all find out by themselves.
    for (held, image) in held.into_iter().zip(images) {
        let image_id = image.record.image_id;
        match write(worker, &[image]).await.as_deref() {
            Ok([presented, ..]) => held.end(outcome(image_id, *presented)).await,
            Ok([]) => held.end(Outcome::Superseded).await,
            Err(error) => worker.fail(held, Some(image_id), store_fault(error)).await,
        }
    }
}

async fn write(worker: &Worker, images: &[projection::Embedded]) -> Result<Vec<Presented>, StoreError> {
    let stage = ingest::begin(Stage::Index);
    let presented = worker.projection.present(worker.collection.as_ref(), images).await?;
    stage.end();
    worker.indexed.notify_one();
    Ok(presented)
}

fn outcome(image_id: ImageId, presented: Presented) -> Outcome {
    match presented {
        Presented::Indexed => Outcome::Indexed(result_of(image_id)),
        Presented::Superseded => Outcome::Superseded,
    }
}

pub(crate) fn result_of(image_id: ImageId) -> TaskResult {
    TaskResult { image_id, url: format!("/images/{image_id}") }
}
