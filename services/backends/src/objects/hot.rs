//! Originals that are asked for again and again, kept in memory for a moment: a picture that a page shows to everybody is
//! read once a second, not once a visitor.
//!
//! Only originals, since their bytes never change under a key. A delete through this process forgets them at once, one by
//! another process within [`KEPT`].

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use shared::metrics::cache::{self, Cache};

use super::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};
use crate::keys;

/// As soon as a delete has to show everywhere.
const KEPT: Duration = Duration::from_secs(1);
const MAX_BYTES: u64 = 32 << 20;
/// Larger ones take longer to send than to read.
const MAX_OBJECT_BYTES: u64 = 256 << 10;

pub(crate) struct HotOriginals<S> {
    store: S,
    hot: moka::future::Cache<ObjectKey, (ObjectInfo, Bytes)>,
}

impl<S: ObjectStore> HotOriginals<S> {
    pub(crate) fn new(store: S) -> Self {
        let hot = moka::future::Cache::builder()
            .weigher(|_: &ObjectKey, (_, bytes): &(ObjectInfo, Bytes)| u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .max_capacity(MAX_BYTES)
            .time_to_live(KEPT)
            .build();
        Self { store, hot }
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for HotOriginals<S> {
    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        if range.is_some() || !keys::is_original(key) {
            return self.store.read(key, range).await;
        }
        let hot = self.hot.get(key).await;
        cache::looked_up(Cache::HotOriginals, hot.is_some());
        if let Some((info, bytes)) = hot {
            return Ok(Some((info, stream::iter([Ok(bytes)]).boxed())));
        }
        let Some((info, mut stream)) = self.store.read(key, None).await? else { return Ok(None) };
        if info.size_bytes > MAX_OBJECT_BYTES {
            return Ok(Some((info, stream)));
        }
        let mut bytes = BytesMut::with_capacity(info.size_bytes as usize);
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let bytes = bytes.freeze();
        self.hot.insert(key.clone(), (info.clone(), bytes.clone())).await;
        Ok(Some((info, stream::iter([Ok(bytes)]).boxed())))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let deleted = self.store.delete(key).await;
        self.hot.invalidate(key).await;
        deleted
    }

    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        self.store.stage().await
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        self.store.put(key, bytes, condition).await
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        self.store.get(key, limit_bytes).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        self.store.head(key).await
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        self.store.list(prefix, start_after)
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        self.store.ready().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use shared::{CopyId, ImageId};

    use super::*;
    use crate::objects::{conformance::conformance, memory::MemoryStore};

    fn original() -> ObjectKey {
        keys::original(ImageId::of(b"hot"), CopyId::new())
    }

    async fn read(store: &dyn ObjectStore, key: &ObjectKey) -> Option<Bytes> {
        let (_, stream) = store.read(key, None).await.unwrap()?;
        Some(stream.try_collect::<Vec<_>>().await.unwrap().concat().into())
    }

    #[tokio::test]
    async fn every_promise_of_the_port_is_kept() {
        conformance(async || Arc::new(HotOriginals::new(MemoryStore::default())) as Arc<dyn ObjectStore>).await;
    }

    #[tokio::test]
    async fn an_original_is_read_once_and_forgotten_when_it_is_deleted() {
        let (store, key) = (HotOriginals::new(MemoryStore::default()), original());
        store.put(&key, Bytes::from_static(b"picture"), PutCondition::None).await.unwrap();
        assert_eq!(read(&store, &key).await.unwrap(), "picture");

        // Behind its back, so that only what is remembered can answer.
        store.store.delete(&key).await.unwrap();
        assert_eq!(read(&store, &key).await.unwrap(), "picture");
        store.delete(&key).await.unwrap();
        assert!(read(&store, &key).await.is_none());
    }

    #[tokio::test]
    async fn what_another_process_deleted_is_forgotten_too() {
        let (store, key) = (HotOriginals::new(MemoryStore::default()), original());
        store.put(&key, Bytes::from_static(b"picture"), PutCondition::None).await.unwrap();
        assert!(read(&store, &key).await.is_some());
        store.store.delete(&key).await.unwrap();
        while read(&store, &key).await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn large_originals_and_other_objects_are_not_kept() {
        let store = HotOriginals::new(MemoryStore::default());
        let large = Bytes::from(vec![7; MAX_OBJECT_BYTES as usize + 1]);
        for (key, bytes) in [(original(), large), (keys::record(ImageId::of(b"hot")), Bytes::from_static(b"{}"))] {
            store.put(&key, bytes.clone(), PutCondition::None).await.unwrap();
            assert_eq!(read(&store, &key).await.unwrap(), bytes);
            store.store.delete(&key).await.unwrap();
            assert!(read(&store, &key).await.is_none(), "{key}");
        }
    }
}
