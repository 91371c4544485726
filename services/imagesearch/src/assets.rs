//! What travels inside the binary: the built UI, the bundled model and the sample photos. A release binary carries
//! them; a debug build reads them from the source tree, so that the UI can be rebuilt without it.

use std::borrow::Cow;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

#[derive(RustEmbed)]
#[folder = "../frontend/dist"]
#[allow_missing = true]
struct Ui;

#[derive(RustEmbed)]
#[folder = "../../models/bundled"]
struct BundledModel;

#[derive(RustEmbed)]
#[folder = "../../tests/fixtures/photos"]
#[exclude = "manifest.json"]
struct Photos;

/// A file of the UI, by its path without a leading slash.
pub(crate) fn ui_file(path: &str) -> Option<EmbeddedFile> {
    Ui::get(path)
}

/// Writes the bundled model below `cache_dir` unless it is there already; returns its folder.
///
/// The folder is named by its contents and appears in one step, so that neither a crash nor an upgrade leaves a wrong one.
pub(crate) fn extract_bundled_model(cache_dir: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    let folder = cache_dir.join(format!("bundled-{}", bundled_model_digest()));
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(cache_dir).with_context(|| format!("cannot make the model folder {cache_dir}"))?;
    let scratch = tempfile::Builder::new().prefix(".bundled-").tempdir_in(cache_dir)?;
    for name in BundledModel::iter() {
        let path = scratch.path().join(name.as_ref());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = BundledModel::get(&name).with_context(|| format!("the bundled model lacks {name}"))?;
        std::fs::write(&path, &file.data).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match std::fs::rename(scratch.path(), &folder) {
        Err(error) if !folder.is_dir() => {
            Err(error).with_context(|| format!("cannot write the bundled model to {folder}"))
        }
        _ => Ok(folder),
    }
}

/// The first digits of a SHA-256 over all files of the bundled model; their own digests are known since the build.
fn bundled_model_digest() -> String {
    let mut names: Vec<_> = BundledModel::iter().collect();
    names.sort();
    let mut hasher = Sha256::new();
    for file in names.iter().filter_map(|name| BundledModel::get(name)) {
        hasher.update(file.metadata.sha256_hash());
    }
    hex::encode(&hasher.finalize()[..6])
}

/// A photo that the empty page offers.
#[derive(Debug)]
pub(crate) struct Sample {
    pub name: String,
    pub bytes: Cow<'static, [u8]>,
    pub caption: String,
    pub tags: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Described {
    file: String,
    caption: String,
    tags: Vec<String>,
}

/// All sample photos (CC0 and public domain), with captions and tags.
pub(crate) fn samples() -> anyhow::Result<Vec<Sample>> {
    let captions = Photos::get("captions.json").context("the sample photos lack their captions")?;
    let captions: Vec<Described> =
        serde_json::from_slice(&captions.data).context("the captions of the sample photos are damaged")?;
    let sample = |photo: Described| {
        let file = Photos::get(&photo.file).with_context(|| format!("the sample photo {} is missing", photo.file))?;
        Ok(Sample { name: photo.file, bytes: file.data, caption: photo.caption, tags: photo.tags })
    };
    captions.into_iter().map(sample).collect()
}
