//! A model as one archive on a web server.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::fs;
use url::Url;

use super::{
    FetchError, FetchOptions, Progress, cache_key,
    download::{Download, Downloader},
    error::shown,
    lock, unpack,
};
use crate::{
    bundle::BundleError,
    checksum::{Checksum, FileChecksums},
    embedder::off_thread,
};

pub(super) async fn fetch(
    url: &Url,
    checksum: Option<Checksum>,
    options: &FetchOptions,
) -> Result<Utf8PathBuf, FetchError> {
    let target = options.cache_folder.join("archives").join(key(url, checksum, &options.checksums));
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
    let unpacked = unpack_beside(&archive, &target, shown(url), options).await;
    // Also when it can't be unpacked: the next fetch must not start from the same bytes.
    fs::remove_file(&archive).await.map_err(FetchError::storage(&archive))?;
    unpacked.map(|()| target)
}

/// The same URL with other checksums is another archive.
fn key(url: &Url, checksum: Option<Checksum>, of_files: &FileChecksums) -> String {
    let checksum = checksum.map(|checksum| checksum.to_string()).unwrap_or_default();
    let mut state = format!("{url}#{checksum}");
    for (file, checksum) in of_files {
        let _ = write!(state, "\n{file} {checksum}");
    }
    cache_key(&state)
}

async fn unpack_beside(
    archive: &Utf8Path,
    target: &Utf8Path,
    name: String,
    options: &FetchOptions,
) -> Result<(), FetchError> {
    let (archive, target) = (archive.to_owned(), target.to_owned());
    let (checksums, max_bytes) = (options.checksums.clone(), options.max_bytes);
    off_thread(move || {
        let parent = target.parent().unwrap_or(Utf8Path::new("."));
        // Removed when it isn't renamed.
        let staging = camino_tempdir(parent)?;
        let root = unpack::unpack(&archive, &name, &staging.path, max_bytes)?;
        check_files(&root, &name, &checksums)?;
        std::fs::rename(&root, &target).map_err(FetchError::storage(&target))
    })
    .await
}

/// Before the folder gets its name: from then on it is taken for what was meant.
fn check_files(folder: &Utf8Path, name: &str, checksums: &FileChecksums) -> Result<(), FetchError> {
    for (file, &expected) in checksums {
        let path = folder.join(file);
        let found =
            Checksum::of_file(&path).map_err(|source| BundleError::read(Utf8Path::new(name).join(file), source))?;
        if found != expected {
            return Err(FetchError::Checksum { url: format!("{name}/{file}"), expected, found });
        }
    }
    Ok(())
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
