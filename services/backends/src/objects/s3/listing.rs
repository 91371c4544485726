//! A listing, one page at a time.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::bucket::Bucket;
use crate::objects::{ObjectError, ObjectInfo, ObjectKey};

/// As much as S3 gives at once.
const PAGE: i32 = 1000;

struct Walk {
    bucket: Arc<Bucket>,
    /// Path of the folder, with its closing `/` unless it is the whole store.
    folder: String,
    /// Path of the last one seen; `None` at the beginning.
    after: Option<String>,
}

pub(super) fn list(
    bucket: Arc<Bucket>,
    prefix: &str,
    start_after: Option<&ObjectKey>,
) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
    let folder = if prefix.is_empty() {
        Ok(bucket.prefix.clone())
    } else {
        ObjectKey::new(prefix).map(|key| bucket.path(&key) + "/")
    };
    let folder = match folder {
        Ok(folder) => folder,
        Err(error) => return stream::iter([Err(error)]).boxed(),
    };
    let after = start_after.map(|key| bucket.path(key));
    stream::try_unfold(Some(Walk { bucket, folder, after }), async |walk| match walk {
        Some(walk) => walk.next_page().await.map(Some),
        None => Ok(None),
    })
    .map_ok(|page| stream::iter(page).map(Ok))
    .try_flatten()
    .boxed()
}

impl Walk {
    /// The next objects, and where to go on, if there may be more.
    async fn next_page(self) -> Result<(Vec<ObjectInfo>, Option<Self>), ObjectError> {
        let Self { bucket, folder, mut after } = self;
        let request = bucket.client.list_objects_v2().bucket(&bucket.name).prefix(&folder).max_keys(PAGE);
        let page = request.set_start_after(after.take()).send().await.map_err(|error| bucket.fault(&folder, error))?;
        let mut objects = Vec::with_capacity(page.contents().len());
        let is_last = !page.is_truncated.unwrap_or(false);
        for object in page.contents.unwrap_or_default() {
            let path = object.key.unwrap_or_default();
            if let Some(key) = bucket.key(&path) {
                let size_bytes = object.size.unwrap_or_default() as u64;
                objects.push(bucket.info(&key, size_bytes, object.e_tag, object.last_modified)?);
            }
            after = Some(path);
        }
        Ok((objects, (!is_last).then_some(Self { bucket, folder, after })))
    }
}
