//! The first stage, many jobs at once: what is there to do, the original's bytes, and pixels for the model.

use std::{panic::AssertUnwindSafe, sync::Arc};

use backends::{
    error::StoreError,
    index::IndexError,
    objects::ObjectError,
    queue::{Outcome, QueueError},
    records::RecordError,
};
use bytes::Bytes;
use embedding::decode::DecodeError;
use futures::FutureExt;
use shared::{
    FailureCode, ImageId, ImageRecord, JobSource, Version,
    metrics::ingest::{self, Stage},
    telemetry::TRACE,
};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, Span, field::display};

use crate::{Worker, fault::Fault, leases::Held, url_job, write::result_of};

/// A job whose image is ready for the model.
pub(crate) struct Prepared {
    pub(crate) held: Held,
    pub(crate) image_id: ImageId,
    pub(crate) image: embedding::Prepared,
}

/// What is to be done for a job, once its record is known.
enum Step {
    Embed { image_id: ImageId, image: embedding::Prepared },
    End(Outcome),
}

/// The image that a job is about.
pub(crate) struct Target {
    pub(crate) image_id: ImageId,
    /// The job was made for this version, or a later one.
    pub(crate) version: Version,
}

/// Takes a job to the next stage, or to its end.
pub(crate) async fn run(worker: Arc<Worker>, held: Held, originals: Arc<Semaphore>, ready: mpsc::Sender<Prepared>) {
    let span = held.span().clone();
    prepare(worker, held, originals, ready).instrument(span).await;
}

async fn prepare(worker: Arc<Worker>, held: Held, originals: Arc<Semaphore>, ready: mpsc::Sender<Prepared>) {
    // What a fault happened to, as far as it was known.
    let mut target = None;
    let step = tokio::select! {
        step = AssertUnwindSafe(begin(&worker, &held, &originals, &mut target)).catch_unwind() => step,
        () = held.lost() => Ok(Err(Fault::LeaseLost)),
    };
    // A panic is the decoder's, over bytes that stay the same, so the next try would panic too.
    let panicked = |_| Err(Fault::permanent(FailureCode::Internal, "decoding the image broke off; the log has more"));
    match step.unwrap_or_else(panicked) {
        // Fails only when the worker has stopped, and then the lease has been handed back.
        Ok(Step::Embed { image_id, image }) => drop(ready.send(Prepared { held, image_id, image }).await),
        Ok(Step::End(outcome)) => held.end(outcome).await,
        Err(fault) => worker.fail(held, target, fault).await,
    }
}

/// `target` tells also of a fault what it happened to.
async fn begin(
    worker: &Worker,
    held: &Held,
    originals: &Semaphore,
    target: &mut Option<ImageId>,
) -> Result<Step, Fault> {
    *target = held.job().source.image_id();
    let reading = ingest::begin(Stage::Read);
    if let Some(fault) = held.begun_too_often() {
        return Err(fault);
    }
    let job = match &held.job().source {
        JobSource::Stored { image_id, version } => Target { image_id: *image_id, version: *version },
        JobSource::Url { url, metadata } => {
            match url_job::fetch(worker, held, url, metadata).instrument(fetch_span()).await? {
                url_job::Fetched::Stored(target) => target,
                url_job::Fetched::Duplicate(image_id) => return Ok(Step::End(Outcome::Duplicate(result_of(image_id)))),
                url_job::Fetched::Deleted => return Ok(Step::End(Outcome::Superseded)),
            }
        }
    };
    *target = Some(job.image_id);
    held.span().record("imagesearch.image_id", display(job.image_id));
    if let Some(outcome) = settled(worker, &job).await? {
        return Ok(Step::End(outcome));
    }
    // Held until the pixels are there: the bytes of an original can be a hundred times what the model takes.
    let _place = originals.acquire().await;
    let limit = worker.settings.max_image_bytes;
    let read = worker.stores.records.read_original(job.image_id, limit).instrument(fetch_span());
    let original = read.await.map_err(|error| record_fault(&error))?;
    let Some((record, bytes)) = original else { return Ok(Step::End(Outcome::Superseded)) };
    check_bytes(&record, bytes.clone()).await?;
    reading.end();
    let decoding = ingest::begin(Stage::Decode);
    let image = worker.embedder.prepare(bytes).await.map_err(|error| decode_fault(&error))?;
    decoding.end();
    Ok(Step::Embed { image_id: job.image_id, image })
}

/// Getting an image's bytes, from wherever they are.
fn fetch_span() -> Span {
    tracing::info_span!(target: TRACE, "fetch")
}

/// How a job ends at once, because what it is for has happened or can't happen any more.
async fn settled(worker: &Worker, job: &Target) -> Result<Option<Outcome>, Fault> {
    let record = worker.stores.records.get(job.image_id).await.map_err(|error| record_fault(&error))?;
    let Some(record) = record else {
        let detail = format!("there is no record of image {}; upload it again", job.image_id);
        return Err(Fault::permanent(FailureCode::OriginalMissing, detail));
    };
    if record.document().is_none() {
        return Ok(Some(Outcome::Superseded));
    }
    if let Some(failure) = record.failure {
        return Ok(Some(Outcome::Failed(failure)));
    }
    let indexed = worker.collection.get(job.image_id).await.map_err(|error| Fault::store(&error))?;
    let is_current = indexed.is_some_and(|point| point.document.version == record.version);
    let done =
        if job.version < record.version { Outcome::Superseded } else { Outcome::Indexed(result_of(job.image_id)) };
    Ok(is_current.then_some(done))
}

/// Bytes that rotted or were tampered with are no longer the image that they are named after.
async fn check_bytes(record: &ImageRecord, bytes: Bytes) -> Result<(), Fault> {
    let found =
        tokio::task::spawn_blocking(move || ImageId::of(&bytes)).await.map_err(|error| Fault::transient(&error))?;
    if found == record.image_id {
        return Ok(());
    }
    let detail = format!("the stored bytes of image {} have changed; delete it and upload it again", record.image_id);
    Err(Fault::permanent(FailureCode::Corrupt, detail))
}

pub(crate) fn store_fault(error: &StoreError) -> Fault {
    match error {
        StoreError::Record(error) => record_fault(error),
        StoreError::Object(error) => object_fault(error),
        StoreError::Queue(QueueError::LeaseLost(_)) => Fault::LeaseLost,
        StoreError::Queue(error) => Fault::store(error),
        StoreError::Index(error @ IndexError::UnusableVector(_)) => {
            Fault::permanent(FailureCode::UnusableVector, error.to_string())
        }
        StoreError::Index(error) => Fault::store(error),
    }
}

pub(crate) fn record_fault(error: &RecordError) -> Fault {
    let code = match error {
        RecordError::OriginalMissing(_) => FailureCode::OriginalMissing,
        RecordError::Damaged { .. } => FailureCode::Corrupt,
        RecordError::NotFound(_) | RecordError::DeletedSince(_) | RecordError::Metadata(_) => FailureCode::Internal,
        RecordError::Object(error) => return object_fault(error),
    };
    Fault::permanent(code, error.to_string())
}

fn object_fault(error: &ObjectError) -> Fault {
    match error {
        ObjectError::TooLarge { .. } => Fault::permanent(FailureCode::TooLarge, error.to_string()),
        ObjectError::InvalidKey(_) => Fault::permanent(FailureCode::Internal, error.to_string()),
        ObjectError::Precondition(_) | ObjectError::Full(_) | ObjectError::Unavailable { .. } => Fault::store(error),
    }
}

fn decode_fault(error: &DecodeError) -> Fault {
    let code = match error {
        DecodeError::UnsupportedType(_) => FailureCode::UnsupportedType,
        DecodeError::TooLarge { .. } => FailureCode::TooLarge,
        DecodeError::Corrupt { .. } => FailureCode::Corrupt,
    };
    Fault::permanent(code, error.to_string())
}
