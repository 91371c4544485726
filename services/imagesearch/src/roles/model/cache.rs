//! The models on this machine: beside each is written what it came from, at each use, so that the file's time is that of the
//! last one.

use std::{fs, io};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use shared::config::Config;
use walkdir::WalkDir;

const NOTE: &str = ".source";
/// How deep models lie: `hub/<repository>/<commit>`.
const MAX_DEPTH: usize = 3;

pub(crate) struct CachedModel {
    pub folder: Utf8PathBuf,
    pub source: String,
    pub last_used: Timestamp,
}

pub(crate) fn folder(config: &Config) -> Utf8PathBuf {
    config.model.cache_dir.clone().unwrap_or_else(|| config.data_dir.join("models"))
}

/// Nothing but a list depends on it, and a cache may be read-only.
pub(super) fn note_use(model: &Utf8Path, source: &str) {
    if let Err(error) = fs::write(format!("{model}{NOTE}"), source) {
        tracing::debug!(%model, %error, "the use of a model can't be written down");
    }
}

/// The one that was used last first.
pub(crate) fn cached_models(config: &Config) -> io::Result<Vec<CachedModel>> {
    let folder = folder(config);
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in WalkDir::new(folder).max_depth(MAX_DEPTH) {
        let entry = entry?;
        let Some(model) = Utf8Path::from_path(entry.path()).and_then(|path| path.as_str().strip_suffix(NOTE)) else {
            continue;
        };
        // Removed by hand, as is advised.
        if !Utf8Path::new(model).is_dir() {
            continue;
        }
        let last_used = Timestamp::try_from(entry.metadata()?.modified()?).map_err(io::Error::other)?;
        found.push(CachedModel { folder: model.into(), source: fs::read_to_string(entry.path())?, last_used });
    }
    found.sort_by_key(|model| std::cmp::Reverse(model.last_used));
    Ok(found)
}
