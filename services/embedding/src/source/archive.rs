//! A model as one archive on a web server.

use camino::{Utf8Path, Utf8PathBuf};
use tokio::fs;
use url::Url;

use super::{
    FetchError, FetchOptions, Progress,
    download::{Download, Downloader},
    error::shown,
    lock, unpack,
};
use crate::{checksum::Checksum, embedder::off_thread};

/// Digits of the cache folder's name.
const KEY_DIGITS: usize = 32;

pub(super) async fn fetch(
    url: &Url,
    checksum: Option<Checksum>,
    options: &FetchOptions,
) -> Result<Utf8PathBuf, FetchError> {
    let target = options.cache_folder.join("archives").join(key(url, checksum));
    let _lock = lock(&target).await?;
    if target.is_dir() {
        return Ok(target);
    }
    let archive = Utf8PathBuf::from(format!("{target}.archive"));
    let shown_url = shown(url);
    let report = |done_bytes, total_bytes| (options.progress)(Progress { file: &shown_url, done_bytes, total_bytes });
    let download = Download { url: url.clone(), to: &archive, checksum, max_bytes: options.max_bytes, report: &report };
    let downloader = Downloader::new(None).map_err(|error| FetchError::unreachable(url, error))?;
    downloader.file(&download).await?;
    let unpacked = unpack_beside(&archive, &target, shown(url), options.max_bytes).await;
    // Also when it can't be unpacked: the next fetch must not start from the same bytes.
    fs::remove_file(&archive).await.map_err(FetchError::storage(&archive))?;
    unpacked.map(|()| target)
}

/// The same URL with another checksum is another archive.
fn key(url: &Url, checksum: Option<Checksum>) -> String {
    let checksum = checksum.map(|checksum| checksum.to_string()).unwrap_or_default();
    let mut key = Checksum::of(format!("{url}#{checksum}").as_bytes()).to_string();
    key.truncate(KEY_DIGITS);
    key
}

async fn unpack_beside(archive: &Utf8Path, target: &Utf8Path, name: String, max_bytes: u64) -> Result<(), FetchError> {
    let (archive, target) = (archive.to_owned(), target.to_owned());
    off_thread(move || {
        let parent = target.parent().unwrap_or(Utf8Path::new("."));
        // Removed when it isn't renamed.
        let staging = camino_tempdir(parent)?;
        let root = unpack::unpack(&archive, &name, &staging.path, max_bytes)?;
        std::fs::rename(&root, &target).map_err(FetchError::storage(&target))
    })
    .await
}

struct Staging {
    path: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

fn camino_tempdir(parent: &Utf8Path) -> Result<Staging, FetchError> {
    let folder = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent).map_err(FetchError::storage(parent))?;
    let path = Utf8PathBuf::from_path_buf(folder.path().join("model")).map_err(|path| FetchError::Storage {
        path: parent.to_owned(),
        source: std::io::Error::other(format!("{} is not UTF-8", path.display())),
    })?;
    Ok(Staging { path, _folder: folder })
}
