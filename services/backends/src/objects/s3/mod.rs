//! Objects in a bucket of a store that speaks S3. Conditions are the store's own (`If-Match`, `If-None-Match`), so they hold
//! between processes; a store that ignores them is refused when it is opened.

mod bucket;
mod connection;
mod fault;
mod folder;
mod leftovers;
mod listing;
mod opening;
mod part;
mod staged;

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use camino::Utf8Path;
use futures::stream::BoxStream;
use shared::config;
use tokio::task::JoinHandle;

pub use self::folder::S3Folder;
use self::{bucket::Bucket, staged::S3Staged};
use super::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};

pub struct S3Store {
    bucket: Arc<Bucket>,
    /// Ends with the store.
    sweeper: JoinHandle<()>,
}

impl S3Store {
    /// Opens the store: finds or makes the bucket, and makes sure that conditional writes hold. What uploads that died have
    /// left for more than a day is removed from then on. Parts of uploads that are being filled wait in `folder`, which is
    /// made when the first one needs it.
    ///
    /// # Errors
    /// `Unavailable` when the store can't be reached, refuses, has no such bucket, or ignores conditions.
    pub async fn open(config: &config::S3, folder: &Utf8Path) -> Result<Self, ObjectError> {
        let bucket = opening::open(config, folder).await?;
        let sweeper = tokio::spawn(leftovers::keep_removing(bucket.clone(), leftovers::AGE, leftovers::EVERY));
        Ok(Self { bucket, sweeper })
    }
}

impl Drop for S3Store {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        Ok(Box::new(S3Staged::new(self.bucket.clone())))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        let etag = self.bucket.put(&self.bucket.path(key), bytes, &condition).await?;
        etag.ok_or_else(|| ObjectError::Precondition(key.clone()))
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        self.bucket.get(key, limit_bytes).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        self.bucket.head(key).await
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        self.bucket.read(key, range).await
    }

    /// S3 doesn't tell whether there was one, so two who delete at once may both hear that there was.
    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        // Some stores take a key that others go on from for a folder, so what isn't there is not deleted either.
        let is_there = self.bucket.head(key).await?.is_some();
        if is_there {
            self.bucket.delete(&self.bucket.path(key)).await?;
        }
        Ok(is_there)
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        listing::list(self.bucket.clone(), prefix, start_after)
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        self.bucket.write_and_read().await
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
