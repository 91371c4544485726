//! Jobs that name a URL: fetched into the store as an upload would be, and from then on like any other.

use backends::{
    error::StoreError,
    intake::{Intake, IntakeError, Received, Standing, clean_name, standing},
    records::RecordError,
};
use percent_encoding::percent_decode_str;
use shared::{FailureCode, ImageId, Metadata, TaskFailure};
use url::Url;

use crate::{
    Worker,
    fault::Fault,
    fetch::{FetchError, shown},
    leases::Held,
    prepare::{Target, store_fault},
};

pub(crate) enum Fetched {
    /// Stored by this job; it is to be indexed.
    Stored(Target),
    /// The same bytes are indexed, or another task brings them.
    Duplicate(ImageId),
    /// The image was deleted after the URL was accepted.
    Deleted,
}

pub(crate) async fn fetch(worker: &Worker, held: &Held, url: &Url, metadata: &Metadata) -> Result<Fetched, Fault> {
    if let Some(target) = stored_before(worker, held).await? {
        return Ok(Fetched::Stored(target));
    }
    let (found_at, received) = receive(worker, url).await?;
    let image_id = received.image_id;
    let stores = &worker.stores;
    let standing = standing(&stores.records, stores.queue.as_ref(), worker.collection.as_ref(), image_id).await;
    let Standing::Wanted(seen) = standing.map_err(fault)? else { return Ok(Fetched::Duplicate(image_id)) };
    let (upload, staged) = received.into_upload(name_of(&found_at), metadata.clone());
    let record = match stores.records.accept_fetched(&upload, staged, seen.map(|seen| *seen), held.job().created).await
    {
        Err(RecordError::DeletedSince(_)) => return Ok(Fetched::Deleted),
        accepted => accepted.map_err(fault)?,
    };
    stores.queue.set_image_id(held.lease(), image_id).await.map_err(fault)?;
    worker.projection.enqueue_beside(&held.job().model, &record).await.map_err(fault)?;
    Ok(Fetched::Stored(Target { image_id, version: record.version }))
}

/// What a delivery before this one stored: fetched again, it would look like a duplicate of itself.
async fn stored_before(worker: &Worker, held: &Held) -> Result<Option<Target>, Fault> {
    if held.attempt() == 1 {
        return Ok(None);
    }
    let task = worker.stores.queue.task(held.job().task_id).await.map_err(fault)?;
    let Some(image_id) = task.and_then(|task| task.image_id) else { return Ok(None) };
    let record = worker.stores.records.get(image_id).await.map_err(fault)?;
    Ok(record.map(|record| Target { image_id, version: record.version }))
}

async fn receive(worker: &Worker, url: &Url) -> Result<(Url, Received), Fault> {
    let stores = &worker.stores;
    let mut body = worker.fetcher.open(url).await.map_err(|error| fetch_fault(&error))?;
    let limit = worker.settings.max_image_bytes;
    let begun = Intake::begin(stores.objects.as_ref(), limit).await;
    let mut intake = begun.map_err(fault)?;
    while let Some(bytes) = body.chunk().await.map_err(|error| fetch_fault(&error))? {
        intake.write(bytes).await.map_err(|error| intake_fault(url, error))?;
    }
    let received = intake.finish().map_err(|error| intake_fault(url, error))?;
    Ok((body.url().clone(), received))
}

/// The last part of the path, in its own script.
fn name_of(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    clean_name(&percent_decode_str(last).decode_utf8_lossy())
}

fn fetch_fault(error: &FetchError) -> Fault {
    let reason = TaskFailure::from(error);
    if error.is_transient() {
        Fault::Transient { reason, after: error.retry_after() }
    } else {
        Fault::Permanent(reason)
    }
}

fn intake_fault(url: &Url, error: IntakeError) -> Fault {
    let code = match error {
        IntakeError::TooLarge { .. } => FailureCode::TooLarge,
        IntakeError::Empty => FailureCode::FetchFailed,
        IntakeError::UnsupportedType(_) => FailureCode::UnsupportedType,
        IntakeError::Object(error) => return fault(error),
    };
    Fault::permanent(code, format!("{}: {error}", shown(url)))
}

fn fault(error: impl Into<StoreError>) -> Fault {
    store_fault(&error.into())
}
