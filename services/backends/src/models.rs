//! Models in the object store: put there once by who reaches their source, loaded from there by everybody else.
//!
//! A model has a folder of its own. Its files are named by their checksums, so that two who put it at once write the same
//! bytes or other names; its manifest is written last, so that what a manifest names is there.

use std::{io, sync::Arc};

use bytes::Bytes;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use embedding::{
    Bundle, BundleError, Checksum, FetchError, FetchOptions, FileChecksums, Progress, Source,
    source::{self, RemoteBytes, RemoteError, RemoteFile, RemoteFiles},
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::ModelFingerprint;
use tokio::{fs, io::AsyncReadExt};

use crate::{
    error::StoreError,
    keys,
    objects::{ObjectError, ObjectKey, ObjectStore, PutCondition},
};

const KEY_DIGITS: usize = 32;
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Larger ones are no settings: tokenizers, of which only the checksum is needed to know the model.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;
const CHUNK_BYTES: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum StoredModelError {
    #[error(transparent)]
    Store(StoreError),
    #[error("object {0} of the stored model is damaged or missing; `imagesearch model fetch` puts it there anew")]
    Damaged(ObjectKey),
    #[error("cannot read or write model file {path}")]
    File {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the stored model cannot be used")]
    Bundle(#[from] BundleError),
    #[error("the stored model cannot be copied")]
    Copy(#[from] FetchError),
}

impl StoredModelError {
    /// Worth another try, after a while.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Copy(error) => error.is_transient(),
            // Somebody may put it there anew.
            Self::Damaged(_) => true,
            Self::File { .. } | Self::Bundle(_) => false,
        }
    }

    fn file(path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl From<ObjectError> for StoredModelError {
    fn from(error: ObjectError) -> Self {
        Self::Store(error.into())
    }
}

/// Which model: what its source is called, and what its files have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelKey(String);

impl ModelKey {
    pub fn of(source: &Source, expected: &FileChecksums) -> Self {
        let files = expected.iter().map(|(file, checksum)| format!("\n{file} {checksum}"));
        let meant: String = std::iter::once(source.to_string()).chain(files).collect();
        let mut key = Checksum::of(meant.as_bytes()).to_string();
        key.truncate(KEY_DIGITS);
        Self(key)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_key = text.len() == KEY_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| Self(text.to_owned()))
    }
}

/// What a stored model is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// As the configuration names it, without credentials.
    pub source: String,
    pub name: String,
    /// Length of its vectors.
    pub dimension: usize,
    // Left out where they aren't told: a copy on disk is named by all that is written here, and stays valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    pub files: Vec<ModelFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Within the model, with `/` between the parts.
    pub path: String,
    pub size_bytes: u64,
    pub sha256: Checksum,
}

/// A model that is whole in the store.
#[derive(Clone)]
pub struct StoredModel {
    objects: Arc<dyn ObjectStore>,
    key: ModelKey,
    manifest: Arc<ModelManifest>,
}

/// Looks whether the model is there. A manifest that can't be read is none.
pub async fn find(objects: &Arc<dyn ObjectStore>, key: &ModelKey) -> Result<Option<StoredModel>, ObjectError> {
    let at = keys::model_manifest(key);
    let Some((_, bytes)) = objects.get(&at, MAX_MANIFEST_BYTES).await? else { return Ok(None) };
    let manifest = serde_json::from_slice(&bytes).ok().filter(ModelManifest::stays_inside);
    if manifest.is_none() {
        tracing::warn!(key = %at, "the manifest of a stored model is damaged; the model counts as absent");
    }
    let stored = |manifest| StoredModel { objects: objects.clone(), key: key.clone(), manifest: Arc::new(manifest) };
    Ok(manifest.map(stored))
}

/// All that are there, in no order that means anything.
pub async fn list(objects: &Arc<dyn ObjectStore>) -> Result<Vec<StoredModel>, ObjectError> {
    let mut listed = objects.list(keys::MODELS, None);
    let mut found = Vec::new();
    while let Some(info) = listed.try_next().await? {
        if let Some(key) = keys::model_of_manifest(&info.key)
            && let Some(stored) = find(objects, &key).await?
        {
            found.push(stored);
        }
    }
    Ok(found)
}

/// Puts a model there that has been loaded, so that nobody else meets one that can't be.
pub async fn put(
    objects: &Arc<dyn ObjectStore>,
    key: &ModelKey,
    source: &Source,
    bundle: &Bundle,
    dimension: usize,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<StoredModel, StoredModelError> {
    let mut files = Vec::new();
    for (path, &sha256) in bundle.checksums() {
        let size_bytes = put_file(objects, &keys::model_file(key, sha256), bundle, path, progress).await?;
        files.push(ModelFile { path: path.clone(), size_bytes, sha256 });
    }
    let manifest = ModelManifest {
        source: source.shown(),
        name: bundle.name().to_owned(),
        dimension,
        license: bundle.manifest().license.clone(),
        languages: bundle.manifest().languages.clone(),
        files,
    };
    let bytes = serde_json::to_vec_pretty(&manifest).expect("plain data always serialises");
    objects.put(&keys::model_manifest(key), bytes.into(), PutCondition::None).await?;
    Ok(StoredModel { objects: objects.clone(), key: key.clone(), manifest: Arc::new(manifest) })
}

async fn put_file(
    objects: &Arc<dyn ObjectStore>,
    key: &ObjectKey,
    bundle: &Bundle,
    file: &str,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<u64, StoredModelError> {
    let path = bundle.folder().join(file);
    let fault = || StoredModelError::file(&path);
    let mut from = fs::File::open(&path).await.map_err(fault())?;
    let total_bytes = from.metadata().await.map_err(fault())?.len();
    let (mut staged, mut done_bytes) = (objects.stage().await?, 0);
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut from).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await.map_err(fault())?;
        if read == 0 {
            break;
        }
        staged.write(Bytes::from(chunk)).await?;
        done_bytes += read as u64;
        progress(Progress { file, done_bytes, total_bytes: Some(total_bytes) });
    }
    staged.commit(key).await?;
    Ok(done_bytes)
}

impl StoredModel {
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    /// Copies it below the cache folder of the options, unless it is there already; gives its folder. Each file is compared
    /// with its checksum on the way.
    pub async fn copy(&self, variant: Option<&str>, options: &FetchOptions) -> Result<Utf8PathBuf, StoredModelError> {
        let state = serde_json::to_vec(&*self.manifest).expect("plain data always serialises");
        let mut name = Checksum::of(&state).to_string();
        name.truncate(KEY_DIGITS);
        let target = options.cache_folder.join("stored").join(name);
        let files: Vec<_> = self.manifest.files.iter().map(ModelFile::to_remote).collect();
        match source::copy(&self.manifest.source, self, &files, variant, &target, options).await {
            Ok(()) => Ok(target),
            Err(FetchError::Checksum { expected, .. }) => {
                Err(StoredModelError::Damaged(keys::model_file(&self.key, expected)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the model is called by what it computes, told without its graphs: only settings are read, through a folder
    /// that is made in `scratch` and removed again.
    pub async fn identify(
        &self,
        variant: Option<&str>,
        scratch: &Utf8Path,
    ) -> Result<ModelFingerprint, StoredModelError> {
        fs::create_dir_all(scratch).await.map_err(StoredModelError::file(scratch))?;
        let folder = tempfile::Builder::new().prefix(".settings-").tempdir_in(scratch);
        let folder = folder.map_err(StoredModelError::file(scratch))?;
        let path = Utf8Path::from_path(folder.path()).expect("its name is made of UTF-8").to_owned();
        for file in self.manifest.files.iter().filter(|file| file.is_settings()) {
            let key = keys::model_file(&self.key, file.sha256);
            let found = self.objects.get(&key, MAX_SETTINGS_BYTES).await?;
            let Some((_, bytes)) = found.filter(|(_, bytes)| Checksum::of(bytes) == file.sha256) else {
                return Err(StoredModelError::Damaged(key));
            };
            let to = path.join(&file.path);
            let parent = to.parent().unwrap_or(&path);
            fs::create_dir_all(parent).await.map_err(StoredModelError::file(parent))?;
            fs::write(&to, bytes).await.map_err(StoredModelError::file(&to))?;
        }
        let checksums = self.manifest.files.iter().map(|file| (file.path.clone(), file.sha256)).collect();
        Ok(Bundle::identify(&path, &checksums, variant)?)
    }

    /// Reads everything and compares it with its checksums.
    pub async fn verify(&self, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<(), StoredModelError> {
        for file in &self.manifest.files {
            let key = keys::model_file(&self.key, file.sha256);
            let Some((info, mut bytes)) = self.objects.read(&key, None).await? else {
                return Err(StoredModelError::Damaged(key));
            };
            let (mut hasher, mut done_bytes) = (Sha256::new(), 0);
            while let Some(chunk) = bytes.try_next().await? {
                hasher.update(&chunk);
                done_bytes += chunk.len() as u64;
                progress(Progress { file: &file.path, done_bytes, total_bytes: Some(info.size_bytes) });
            }
            if Checksum::from(hasher) != file.sha256 {
                return Err(StoredModelError::Damaged(key));
            }
        }
        Ok(())
    }
}

impl ModelManifest {
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// No path leads out of a folder that the files are written to.
    fn stays_inside(&self) -> bool {
        let mut parts = self.files.iter().flat_map(|file| Utf8Path::new(&file.path).components());
        parts.all(|part| matches!(part, Utf8Component::Normal(_)))
    }
}

impl ModelFile {
    fn is_settings(&self) -> bool {
        let is_text = matches!(Utf8Path::new(&self.path).extension(), Some("json" | "yaml"));
        is_text && self.size_bytes <= MAX_SETTINGS_BYTES
    }

    fn to_remote(&self) -> RemoteFile {
        let Self { path, size_bytes, sha256 } = self;
        RemoteFile { path: path.clone(), size_bytes: *size_bytes, version: sha256.to_string(), checksum: Some(*sha256) }
    }
}

impl RemoteFiles for StoredModel {
    fn list(&self) -> BoxFuture<'_, Result<Vec<RemoteFile>, RemoteError>> {
        Box::pin(async { Ok(self.manifest.files.iter().map(ModelFile::to_remote).collect()) })
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<RemoteBytes, RemoteError>> {
        Box::pin(async move {
            let file = self.manifest.files.iter().find(|file| file.path == path);
            let file = file.ok_or_else(|| format!("the stored model has no file {path}"))?;
            let key = keys::model_file(&self.key, file.sha256);
            let found = self.objects.read(&key, None).await?;
            let (_, bytes) = found.ok_or_else(|| StoredModelError::Damaged(key))?;
            Ok(bytes.map_err(RemoteError::from).boxed())
        })
    }
}

#[cfg(test)]
mod tests;
