//! The embedded vector index: qdrant-edge, in process, one folder a collection.
//!
//! qdrant-edge 0.7 writes a log but never reads it back, so what it had not flushed dies with the process. The adapter
//! therefore keeps a journal of its own (`journal`): a change is durable there before it is applied, and whatever is
//! in it is applied again when the collection is opened. `maintenance` flushes and optimises behind the scenes.

mod collection;
mod identity;
mod journal;
mod listing;
mod maintenance;
mod payload;
mod searching;
mod shard;
mod store;
#[cfg(test)]
mod tests;
mod translate;

use std::{collections::HashMap, fs, io, sync::Arc};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use shared::ModelFingerprint;
use tokio::sync::Mutex;

use self::{collection::EdgeCollection, store::Store};
use super::{Collection, CollectionSpec, IndexError, VectorIndex};

/// Folders whose names start so are being made or removed; what is left of them after a crash is no collection.
/// Whatever else is hidden in there (`lock::FolderLock`'s file, say) is not ours.
const MAKING: &str = ".making-";
const REMOVED: &str = ".removed-";

/// All collections below one folder.
pub struct QdrantEdgeIndex {
    folder: Utf8PathBuf,
    /// Two shards on one folder would destroy each other, so whoever opens a collection gets the same one.
    open: Mutex<HashMap<ModelFingerprint, Arc<EdgeCollection>>>,
}

impl QdrantEdgeIndex {
    /// Opens the index below `path`, which is made when absent. Collections are opened one by one, when asked for.
    ///
    /// # Errors
    /// `Unavailable` when the folder can't be made or read.
    pub fn open(path: &Utf8Path) -> Result<Self, IndexError> {
        let failed = |source| unavailable(format!("cannot use index folder {path}"), source);
        fs::create_dir_all(path).map_err(failed)?;
        for leftover in fs::read_dir(path).map_err(failed)? {
            let leftover = leftover.map_err(failed)?;
            let name = leftover.file_name().to_string_lossy().into_owned();
            if [MAKING, REMOVED].iter().any(|prefix| name.starts_with(prefix)) {
                fs::remove_dir_all(leftover.path()).map_err(failed)?;
            }
        }
        Ok(Self { folder: path.to_owned(), open: Mutex::default() })
    }

    fn collection_folder(&self, model: &ModelFingerprint) -> Result<Utf8PathBuf, IndexError> {
        if names_a_folder(&model.0) {
            return Ok(self.folder.join(&model.0));
        }
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        Err(unavailable(format!("model fingerprint {:?} cannot name a collection", model.0), source))
    }
}

#[async_trait]
impl VectorIndex for QdrantEdgeIndex {
    async fn open(&self, spec: &CollectionSpec) -> Result<Arc<dyn Collection>, IndexError> {
        let folder = self.collection_folder(&spec.model)?;
        let mut open = self.open.lock().await;
        if let Some(collection) = open.get(&spec.model) {
            if collection.spec() == spec {
                return Ok(Arc::clone(collection) as Arc<dyn Collection>);
            }
            return Err(IndexError::ForeignStore { collection: spec.model.to_string() });
        }
        let wanted = spec.clone();
        let store = blocking(move || Store::open(&folder, &wanted)).await?;
        let collection = Arc::new(EdgeCollection::new(store));
        open.insert(spec.model.clone(), Arc::clone(&collection));
        Ok(collection)
    }

    async fn collections(&self) -> Result<Vec<ModelFingerprint>, IndexError> {
        let folder = self.folder.clone();
        blocking(move || {
            let failed = |source| unavailable(format!("cannot list index folder {folder}"), source);
            let mut models = Vec::new();
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
                if names_a_folder(&name) {
                    models.push(ModelFingerprint(name));
                }
            }
            models.sort();
            Ok(models)
        })
        .await
    }

    async fn remove(&self, model: &ModelFingerprint) -> Result<bool, IndexError> {
        let folder = self.collection_folder(model)?;
        let mut open = self.open.lock().await;
        let collection = open.remove(model);
        let hidden = self.folder.join(format!("{REMOVED}{}", model.0));
        blocking(move || {
            if let Some(collection) = collection {
                collection.close();
            }
            remove_folder(&folder, &hidden)
                .map_err(|source| unavailable(format!("cannot remove collection {folder}"), source))
        })
        .await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let folder = self.folder.clone();
        blocking(move || {
            let listed = fs::read_dir(&folder).map(drop);
            listed.map_err(|source| unavailable(format!("cannot read index folder {folder}"), source))
        })
        .await
    }
}

fn names_a_folder(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Renamed first: a folder that is half removed must not be taken for a collection.
fn remove_folder(folder: &Utf8Path, hidden: &Utf8Path) -> io::Result<bool> {
    match fs::rename(folder, hidden) {
        Ok(()) => fs::remove_dir_all(hidden).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn unavailable(context: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> IndexError {
    IndexError::Unavailable { context: context.into(), source: source.into() }
}

/// Runs what blocks off the async threads; a panic in there (qdrant-edge has some) is a fault of the index, not the end.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(unavailable("the index failed inside", error)),
    }
}
