//! Files in a store that this crate doesn't know, copied into a folder: each is checked while it streams and gets its name
//! only when it is whole, and so does the folder. What was cut off goes on with the next file.

use std::error::Error;

use backon::Retryable;
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use futures::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
};

use super::{FetchError, FetchOptions, Progress, download::backoff, lock};
use crate::{bundle::layout, checksum::Checksum};

pub type RemoteError = Box<dyn Error + Send + Sync>;
pub type RemoteBytes = BoxStream<'static, Result<Bytes, RemoteError>>;

/// A folder that is reached in a way of its own, with `/` between the parts of its files' paths.
pub trait RemoteFiles: Send + Sync {
    /// All files.
    fn list(&self) -> BoxFuture<'_, Result<Vec<RemoteFile>, RemoteError>>;

    /// Streams one of them.
    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<RemoteBytes, RemoteError>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    pub path: String,
    pub size_bytes: u64,
    /// Changes whenever the bytes do.
    pub version: String,
    /// Where it is known beforehand.
    pub checksum: Option<Checksum>,
}

/// Copies the model that these files are into the new folder `target`; nothing is done when that is there. `place` is what
/// messages call the folder that they come from, `variant` the wanted precision where there are several.
pub async fn copy(
    place: &str,
    remote: &dyn RemoteFiles,
    files: &[RemoteFile],
    variant: Option<&str>,
    target: &Utf8Path,
    options: &FetchOptions,
) -> Result<(), FetchError> {
    let _lock = lock(target).await?;
    if target.is_dir() {
        return Ok(());
    }
    let staging = Utf8PathBuf::from(format!("{target}.partial"));
    let files: Vec<_> = files.iter().filter(|file| stays_inside(&file.path)).collect();
    let names: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let mut copying = Copying { place, remote, files, staging: &staging, left_bytes: options.max_bytes, options };
    let selection = layout::select(place, &names, variant)?;
    copying.copy(&selection.files).await?;
    // What `model.yaml` names beyond itself.
    copying.copy(&layout::further_files(place, &staging, &selection, &names)?).await?;
    fs::rename(&staging, target).await.map_err(FetchError::storage(target))
}

fn stays_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

struct Copying<'a> {
    place: &'a str,
    remote: &'a dyn RemoteFiles,
    files: Vec<&'a RemoteFile>,
    staging: &'a Utf8Path,
    left_bytes: u64,
    options: &'a FetchOptions,
}

impl Copying<'_> {
    async fn copy(&mut self, names: &[String]) -> Result<(), FetchError> {
        let wanted: Vec<_> = self.files.iter().copied().filter(|file| names.contains(&file.path)).collect();
        for file in wanted {
            self.left_bytes = self.left_bytes.checked_sub(file.size_bytes).ok_or_else(|| FetchError::TooLarge {
                url: self.place.to_owned(),
                limit_bytes: self.options.max_bytes,
            })?;
            let to = self.staging.join(&file.path);
            if to.is_file() {
                continue;
            }
            let parent = to.parent().unwrap_or(self.staging);
            fs::create_dir_all(parent).await.map_err(FetchError::storage(parent))?;
            let try_once = async || self.copy_file(file, &to).await;
            try_once.retry(backoff()).when(FetchError::is_transient).await?;
        }
        Ok(())
    }

    async fn copy_file(&self, file: &RemoteFile, to: &Utf8Path) -> Result<(), FetchError> {
        let part = Utf8PathBuf::from(format!("{to}.part"));
        let (found, size_bytes) = self.receive(file, &part).await?;
        if size_bytes != file.size_bytes {
            return Err(FetchError::Interrupted { url: self.shown(file), received_bytes: size_bytes });
        }
        for expected in [file.checksum, self.options.checksums.get(&file.path).copied()].into_iter().flatten() {
            if found != expected {
                return Err(FetchError::Checksum { url: self.shown(file), expected, found });
            }
        }
        fs::rename(&part, to).await.map_err(FetchError::storage(to))
    }

    /// Streams a file to `part`; gives the checksum and the number of its bytes.
    async fn receive(&self, file: &RemoteFile, part: &Utf8Path) -> Result<(Checksum, u64), FetchError> {
        let unreadable = |source| FetchError::Remote { file: self.shown(file), source };
        let mut bytes = self.remote.read(&file.path).await.map_err(unreadable)?;
        let mut copy = File::create(part).await.map_err(FetchError::storage(part))?;
        let (mut hasher, mut done_bytes) = (Sha256::new(), 0);
        while let Some(chunk) = bytes.try_next().await.map_err(unreadable)? {
            hasher.update(&chunk);
            copy.write_all(&chunk).await.map_err(FetchError::storage(part))?;
            done_bytes += chunk.len() as u64;
            (self.options.progress)(Progress { file: &file.path, done_bytes, total_bytes: Some(file.size_bytes) });
        }
        copy.flush().await.map_err(FetchError::storage(part))?;
        copy.sync_all().await.map_err(FetchError::storage(part))?;
        Ok((hasher.into(), done_bytes))
    }

    fn shown(&self, file: &RemoteFile) -> String {
        format!("{}/{}", self.place, file.path)
    }
}
