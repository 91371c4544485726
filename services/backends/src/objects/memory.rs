//! Objects in memory, for tests that need every step to end at once. It passes the same suite as the real adapters.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use jiff::Timestamp;

use super::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};

#[derive(Default, Clone)]
pub(crate) struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<ObjectKey, (ObjectInfo, Bytes)>>>,
}

struct MemoryStaged {
    store: MemoryStore,
    bytes: BytesMut,
}

impl MemoryStore {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, (ObjectInfo, Bytes)>> {
        self.objects.lock().expect("no test panics under the lock")
    }

    fn insert(&self, key: &ObjectKey, bytes: Bytes, condition: &PutCondition) -> Result<ETag, ObjectError> {
        let mut objects = self.objects();
        let current = objects.get(key).map(|(info, _)| &info.etag);
        let holds = match condition {
            PutCondition::None => true,
            PutCondition::Absent => current.is_none(),
            PutCondition::Matches(etag) => current == Some(etag),
        };
        if !holds {
            return Err(ObjectError::Precondition(key.clone()));
        }
        let etag = ETag(uuid::Uuid::new_v4().to_string());
        let size_bytes = bytes.len() as u64;
        let info = ObjectInfo { key: key.clone(), size_bytes, etag: etag.clone(), modified: Timestamp::now() };
        objects.insert(key.clone(), (info, bytes));
        Ok(etag)
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        Ok(Box::new(MemoryStaged { store: self.clone(), bytes: BytesMut::new() }))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        self.insert(key, bytes, &condition)
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        let found = self.objects().get(key).cloned();
        match found {
            Some((ObjectInfo { size_bytes, .. }, _)) if size_bytes > limit_bytes => {
                Err(ObjectError::TooLarge { key: key.clone(), size_bytes, limit_bytes })
            }
            found => Ok(found),
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        Ok(self.objects().get(key).map(|(info, _)| info.clone()))
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        Ok(self.objects().get(key).cloned().map(|(info, bytes)| {
            let range = range.unwrap_or(0..info.size_bytes);
            let bytes = bytes.slice(range.start as usize..range.end as usize);
            (info, stream::iter([Ok(bytes)]).boxed())
        }))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        Ok(self.objects().remove(key).is_some())
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        if !prefix.is_empty()
            && let Err(error) = ObjectKey::new(prefix)
        {
            return stream::iter([Err(error)]).boxed();
        }
        let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let start = start_after.map_or(Bound::Unbounded, Bound::Excluded);
        let objects = self.objects();
        let listed: Vec<_> = objects
            .range((start, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(&folder))
            .map(|(_, (info, _))| Ok(info.clone()))
            .collect();
        stream::iter(listed).boxed()
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        Ok(())
    }
}

#[async_trait]
impl StagedObject for MemoryStaged {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        self.store.insert(key, self.bytes.clone().freeze(), &PutCondition::None).map(drop)
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    super::conformance::conformance(async || Arc::new(MemoryStore::default()) as Arc<dyn ObjectStore>).await;
}
