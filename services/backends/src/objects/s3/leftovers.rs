//! What uploads that died have left: parts aside, and multipart uploads without an end. It is removed once it is old, for as
//! long as the store lives. A bucket may be shared, so what nobody here can have made is let be.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::bucket::Bucket;
use crate::{
    keys,
    objects::{ObjectError, ObjectKey},
};

/// What is older is no upload that still goes on.
pub(super) const AGE: SignedDuration = SignedDuration::from_hours(24);
pub(super) const EVERY: Duration = Duration::from_hours(1);
/// Pages that one sweep looks at, of each kind; the next one goes on.
const MAX_PAGES: usize = 10;

/// Sweeps again and again; never ends by itself.
pub(super) async fn keep_removing(bucket: Arc<Bucket>, age: SignedDuration, every: Duration) {
    loop {
        if let Err(error) = remove(&bucket, Timestamp::now() - age).await {
            tracing::warn!(%error, "what earlier uploads left could not be removed; the next sweep tries again");
        }
        tokio::time::sleep(every).await;
    }
}

/// Removes what uploads that died before that time have left.
pub(super) async fn remove(bucket: &Bucket, before: Timestamp) -> Result<(), ObjectError> {
    remove_staged(bucket, before).await?;
    // Only what can be large is staged, so only below these can there be something to abort.
    for folder in [keys::ORIGINALS, keys::MODELS] {
        abort_uploads(bucket, folder, before).await?;
    }
    Ok(())
}

async fn remove_staged(bucket: &Bucket, before: Timestamp) -> Result<(), ObjectError> {
    let folder = bucket.staging();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let request =
            bucket.client.list_objects_v2().bucket(&bucket.name).prefix(&folder).set_start_after(after.take());
        let page = request.send().await.map_err(|error| bucket.fault(&folder, error))?;
        for object in page.contents() {
            let Some(path) = object.key() else { continue };
            let is_old = object.last_modified().is_some_and(|time| time.secs() < before.as_second());
            if is_old && path.strip_prefix(&folder).is_some_and(is_staged) {
                bucket.delete(path).await?;
            }
            after = Some(path.to_owned());
        }
        if !page.is_truncated.unwrap_or(false) {
            break;
        }
    }
    Ok(())
}

async fn abort_uploads(bucket: &Bucket, folder: &str, before: Timestamp) -> Result<(), ObjectError> {
    let folder = format!("{}{folder}/", bucket.prefix);
    let (mut key_marker, mut upload_id_marker) = (None, None);
    for _ in 0..MAX_PAGES {
        let request = bucket.client.list_multipart_uploads().bucket(&bucket.name).prefix(&folder);
        let request = request.set_key_marker(key_marker).set_upload_id_marker(upload_id_marker);
        let page = request.send().await.map_err(|error| bucket.fault(&folder, error))?;
        for upload in page.uploads() {
            let (Some(path), Some(upload_id)) = (upload.key(), upload.upload_id()) else { continue };
            let is_old = upload.initiated().is_some_and(|time| time.secs() < before.as_second());
            if is_old && bucket.key(path).is_some_and(|key| is_large(&key)) {
                bucket.abort(path, upload_id).await?;
            }
        }
        if !page.is_truncated.unwrap_or(false) {
            break;
        }
        (key_marker, upload_id_marker) = (page.next_key_marker, page.next_upload_id_marker);
    }
    Ok(())
}

/// Whether something aside is called as parts are (`<id>/<number>`), or what opening a store tries (`<id>`). What tells that
/// the store is ready stays: somebody may be about to read it.
fn is_staged(name: &str) -> bool {
    let (id, number) = name.split_once('/').unwrap_or((name, "0"));
    Uuid::parse_str(id).is_ok() && number.parse::<usize>().is_ok()
}

/// Whether staged objects get keys like this one: originals and files of models.
fn is_large(key: &ObjectKey) -> bool {
    keys::is_original(key) || keys::is_model_file(key)
}
