//! All stores of one deployment, as its configuration says. The only choice between adapters is made here.

use std::sync::Arc;

use bytes::Bytes;
use camino::Utf8PathBuf;
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{ImageRecord, ModelFingerprint, StoreId, config};
use uuid::Uuid;

use crate::{
    active::ActiveCollections,
    error::StoreError,
    index::{Collection, CollectionSpec, IndexError, MilvusIndex, QdrantEdgeIndex, VectorIndex},
    keys,
    lock::{FolderLock, LockError},
    objects::{ObjectError, ObjectStore, PutCondition, folder::FolderStore, hot::HotOriginals, s3::S3Store},
    observed::{ObservedIndex, ObservedObjects, ObservedQueue},
    projection::Projection,
    queue::{JetstreamQueue, JobQueue, SqliteQueue},
    records::Records,
};

const MAX_IDENTITY_BYTES: u64 = 4096;
/// Images taken out of an index in one step.
const FORGET_BATCH: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the store's identity in {key} can't be read; put it back from a backup", key = keys::store())]
    Identity(#[source] serde_json::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ObjectError> for OpenError {
    fn from(error: ObjectError) -> Self {
        Self::Store(error.into())
    }
}

impl OpenError {
    /// A store is away, slow or refusing for now, or its collection waits for being rebuilt: worth another try.
    pub fn is_unavailable(&self) -> bool {
        let is_foreign = |error: &StoreError| matches!(error, StoreError::Index(IndexError::ForeignStore { .. }));
        matches!(self, Self::Store(error) if error.is_unavailable() || is_foreign(error))
    }
}

/// The stores of one deployment.
#[derive(Clone)]
pub struct Stores {
    pub objects: Arc<dyn ObjectStore>,
    pub queue: Arc<dyn JobQueue>,
    pub index: Arc<dyn VectorIndex>,
    pub records: Records,
    pub store_id: StoreId,
    /// When they were opened: what is older can't be under way in this process.
    pub opened: Timestamp,
    /// Held as long as anybody uses the stores.
    _lock: Arc<FolderLock>,
}

/// A model's collection, and whether what it answers can be trusted to be all there is.
pub struct OpenCollection {
    pub collection: Arc<dyn Collection>,
    /// Why it has to be rebuilt (by `sweep`, in the background); `None` when it is the one that was left.
    pub rebuild: Option<RebuildReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildReason {
    /// It was made for another object store, and has been emptied.
    Foreign,
    /// It is empty although there are images.
    Lost,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    store_id: StoreId,
    created: Timestamp,
}

/// Opens the stores that the configuration names.
///
/// # Errors
/// `Lock` when another process uses the same folders.
pub async fn open(config: &config::Config) -> Result<Stores, OpenError> {
    let lock = FolderLock::acquire(&embedded_folders(config))?;
    let objects = objects_of(config).await?;
    let queue = queue_of(config).await?;
    let index = index_of(config).await?;
    let store_id = identity(objects.as_ref()).await?;
    let records = Records::new(objects.clone());
    Ok(Stores { objects, queue, index, records, store_id, opened: Timestamp::now(), _lock: Arc::new(lock) })
}

/// Opens the object store alone, for who needs no other.
pub async fn open_objects(config: &config::Config) -> Result<Arc<dyn ObjectStore>, OpenError> {
    Ok(objects_of(config).await?)
}

/// The same for reading, beside the processes that write it; `None` where nothing was ever stored.
pub async fn open_objects_for_reading(config: &config::Config) -> Result<Option<Arc<dyn ObjectStore>>, OpenError> {
    let config::Objects::Folder { path } = &config.objects else { return Ok(Some(objects_of(config).await?)) };
    let folder = objects_folder(config, path.as_ref());
    Ok(folder.is_dir().then(|| Arc::new(FolderStore::open_for_reading(&folder)) as Arc<dyn ObjectStore>))
}

/// A model's collection for who only searches it, and the stores that this takes.
pub struct OpenForReading {
    pub objects: Arc<dyn ObjectStore>,
    pub index: Arc<dyn VectorIndex>,
    pub collection: Arc<dyn Collection>,
}

/// Opens the collection of a model for reading, beside the processes that write it.
///
/// # Errors
/// `ForeignStore` as long as none of those has rebuilt it.
pub async fn open_for_reading(
    config: &config::Config,
    model: &ModelFingerprint,
    dimension: usize,
) -> Result<OpenForReading, OpenError> {
    let objects = objects_of(config).await?;
    let store = identity(objects.as_ref()).await?;
    let index = index_of(config).await?;
    let spec = CollectionSpec { model: model.clone(), dimension, store };
    let collection = index.open(&spec).await.map_err(StoreError::from)?;
    Ok(OpenForReading { objects, index, collection })
}

// The adapters' futures are boxed: they are large, and whoever opens stores does it once.
async fn objects_of(config: &config::Config) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Ok(match &config.objects {
        config::Objects::Folder { path } => {
            let folder = FolderStore::open(&objects_folder(config, path.as_ref()))?;
            Arc::new(HotOriginals::new(ObservedObjects::new(folder, None)))
        }
        config::Objects::S3(s3) => {
            let store = Box::pin(S3Store::open(s3, &config.data_dir.join("uploads"))).await?;
            Arc::new(HotOriginals::new(ObservedObjects::new(store, Some(s3.bucket.clone()))))
        }
    })
}

async fn queue_of(config: &config::Config) -> Result<Arc<dyn JobQueue>, StoreError> {
    Ok(match &config.queue {
        config::Queue::Sqlite { path, max_jobs, keep_tasks } => {
            let file = queue_file(config, path.as_ref());
            Arc::new(ObservedQueue::sqlite(SqliteQueue::open(&file, *max_jobs, *keep_tasks)?))
        }
        config::Queue::Jetstream(jetstream) => {
            Arc::new(ObservedQueue::jetstream(Box::pin(JetstreamQueue::open(jetstream)).await?))
        }
    })
}

async fn index_of(config: &config::Config) -> Result<Arc<dyn VectorIndex>, StoreError> {
    Ok(match &config.index {
        config::Index::QdrantEdge { path } => {
            let index = QdrantEdgeIndex::open(&index_folder(config, path.as_ref()))?;
            Arc::new(ObservedIndex::qdrant_edge(index))
        }
        config::Index::Milvus(milvus) => Arc::new(ObservedIndex::milvus(Box::pin(MilvusIndex::open(milvus)).await?)),
    })
}

fn objects_folder(config: &config::Config, path: Option<&Utf8PathBuf>) -> Utf8PathBuf {
    path.cloned().unwrap_or_else(|| config.data_dir.join("objects"))
}

fn queue_file(config: &config::Config, path: Option<&Utf8PathBuf>) -> Utf8PathBuf {
    path.cloned().unwrap_or_else(|| config.data_dir.join("queue.sqlite"))
}

fn index_folder(config: &config::Config, path: Option<&Utf8PathBuf>) -> Utf8PathBuf {
    path.cloned().unwrap_or_else(|| config.data_dir.join("index"))
}

/// The folders that belong to this process alone; none when every store is elsewhere.
fn embedded_folders(config: &config::Config) -> Vec<Utf8PathBuf> {
    let mut folders = Vec::new();
    if let config::Objects::Folder { path } = &config.objects {
        folders.push(objects_folder(config, path.as_ref()));
    }
    if let config::Index::QdrantEdge { path } = &config.index {
        folders.push(index_folder(config, path.as_ref()));
    }
    if let config::Queue::Sqlite { path, .. } = &config.queue {
        // SQLite's file is locked through its folder, the data folder by default.
        let file = queue_file(config, path.as_ref());
        folders.push(file.parent().map_or_else(|| config.data_dir.clone(), Utf8PathBuf::from));
    }
    if !folders.is_empty() {
        folders.insert(0, config.data_dir.clone());
    }
    folders
}

impl Stores {
    /// Opens the collection of a model. A foreign one is emptied: it is made of other images than those stored here.
    pub async fn open_collection(
        &self,
        model: &ModelFingerprint,
        dimension: usize,
    ) -> Result<OpenCollection, StoreError> {
        let spec = CollectionSpec { model: model.clone(), dimension, store: self.store_id };
        match self.index.open(&spec).await {
            Ok(collection) => {
                if self.index.collections().await?.len() > 1 && collection.count(None).await? > 0 {
                    self.forget_deleted(collection.as_ref()).await?;
                }
                let rebuild = self.is_lost(collection.as_ref()).await?.then_some(RebuildReason::Lost);
                Ok(OpenCollection { collection, rebuild })
            }
            Err(IndexError::ForeignStore { .. }) => {
                self.index.remove(model).await?;
                let collection = self.index.open(&spec).await?;
                Ok(OpenCollection { collection, rebuild: Some(RebuildReason::Foreign) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the collection of a model beside the process that keeps it in line with the records (`open_collection`).
    ///
    /// # Errors
    /// `ForeignStore` as long as that process hasn't emptied it.
    pub async fn join_collection(
        &self,
        model: &ModelFingerprint,
        dimension: usize,
    ) -> Result<Arc<dyn Collection>, StoreError> {
        let spec = CollectionSpec { model: model.clone(), dimension, store: self.store_id };
        Ok(self.index.open(&spec).await?)
    }

    /// What keeps these collections in line with the records.
    pub fn projection(&self, active: impl Into<ActiveCollections>) -> Projection {
        Projection::new(self.records.clone(), self.queue.clone(), active)
    }

    /// While another model's collection was in use, nobody told this one of deletes. What else changed meanwhile can wait
    /// for the sweep; what was deleted must not be found until then.
    async fn forget_deleted(&self, collection: &dyn Collection) -> Result<(), StoreError> {
        let mut records = self.records.list(keys::RECORDS, None);
        let mut gone = Vec::with_capacity(FORGET_BATCH);
        while let Some(stored) = records.try_next().await? {
            if stored.record.is_ok_and(|record| record.searchable().is_none()) {
                gone.push(stored.image_id);
            }
            if gone.len() == FORGET_BATCH {
                collection.delete(&gone).await?;
                gone.clear();
            }
        }
        Ok(collection.delete(&gone).await?)
    }

    async fn is_lost(&self, collection: &dyn Collection) -> Result<bool, StoreError> {
        if collection.count(None).await? > 0 {
            return Ok(false);
        }
        let mut records = self.records.list(keys::RECORDS, None);
        while let Some(stored) = records.try_next().await? {
            if stored.record.as_ref().is_ok_and(|record: &ImageRecord| record.searchable().is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Who the object store is; a new one gets a name.
async fn identity(objects: &dyn ObjectStore) -> Result<StoreId, OpenError> {
    let fresh = Identity { store_id: StoreId(Uuid::new_v4()), created: Timestamp::now() };
    let bytes = Bytes::from(serde_json::to_vec(&fresh).map_err(OpenError::Identity)?);
    match objects.get(&keys::store(), MAX_IDENTITY_BYTES).await.map_err(StoreError::from)? {
        Some((_, bytes)) => Ok(parse(&bytes)?.store_id),
        None => match objects.put(&keys::store(), bytes, PutCondition::Absent).await {
            Ok(_) => Ok(fresh.store_id),
            // Another process was faster: its name counts.
            Err(ObjectError::Precondition(_)) => {
                let found = objects.get(&keys::store(), MAX_IDENTITY_BYTES).await.map_err(StoreError::from)?;
                Ok(parse(&found.map(|(_, bytes)| bytes).unwrap_or_default())?.store_id)
            }
            Err(error) => Err(StoreError::from(error).into()),
        },
    }
}

fn parse(bytes: &[u8]) -> Result<Identity, OpenError> {
    serde_json::from_slice(bytes).map_err(OpenError::Identity)
}

#[cfg(test)]
mod tests;
