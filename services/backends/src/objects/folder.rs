//! Objects as files below one folder: written aside, synced, then renamed into place.
//! Conditions are checked under locks that only this process sees; `backends::open` keeps other processes out.

mod reading;
mod staged;
mod walk;
mod writing;

use std::{io, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use camino::Utf8Path;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use self::{staged::FolderStaged, walk::Walk, writing::Folder};
use super::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};

/// Objects that a listing looks up in one go.
const LIST_BATCH: usize = 256;

pub struct FolderStore {
    folder: Arc<Folder>,
}

impl FolderStore {
    /// Opens the store in a folder, made when absent. What an earlier process left half written is removed.
    ///
    /// # Errors
    /// `Unavailable` when the folder can't be made, read or written.
    pub fn open(root: &Utf8Path) -> Result<Self, ObjectError> {
        Ok(Self { folder: Arc::new(Folder::open(root)?) })
    }

    /// The same for reading, beside the process that writes it: nothing is made and nothing removed.
    pub fn open_for_reading(root: &Utf8Path) -> Self {
        Self { folder: Arc::new(Folder::at(root)) }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Folder>) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let folder = self.folder.clone();
        blocking(move || work(&folder)).await
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        Ok(Box::new(FolderStaged::new(self.folder.clone())))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        let key = key.clone();
        self.run(move |folder| {
            let file = folder.write_aside(&bytes, key.as_str())?;
            folder.publish(file, &key, &condition)
        })
        .await
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        let key = key.clone();
        self.run(move |folder| folder.get(&key, limit_bytes)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        let key = key.clone();
        self.run(move |folder| folder.head(&key)).await
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        let key = key.clone();
        self.run(move |folder| folder.read(&key, range)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let key = key.clone();
        self.run(move |folder| folder.delete(&key)).await
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        let walk = match Walk::new(&self.folder.root, prefix, start_after) {
            Ok(walk) => walk,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        stream::try_unfold(walk, |mut walk| async move {
            let (walk, batch) = blocking(move || walk.next_batch(LIST_BATCH).map(|batch| (walk, batch))).await?;
            Ok::<_, ObjectError>((!batch.is_empty()).then(|| (stream::iter(batch).map(Ok), walk)))
        })
        .try_flatten()
        .boxed()
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        self.run(|folder| folder.write_aside(b"ready", "a first byte").map(drop)).await
    }
}

/// Runs file work off the threads that serve requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(ObjectError::Unavailable { context: "the process is ending".into(), source: error.into() }),
    }
}

/// A fault of the file system while `what` was read or written.
fn fault(what: &str, error: io::Error) -> ObjectError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ObjectError::Full(what.into())
        }
        _ => ObjectError::Unavailable { context: what.into(), source: error.into() },
    }
}

#[cfg(test)]
mod tests;
