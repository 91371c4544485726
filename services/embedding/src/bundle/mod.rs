//! A model on disk: which files it has, what settings it runs with, whether they are the ones that were meant.
//! Opening reads and checks everything but the graphs; those are checked when they are loaded (`crate::embedder`).

mod error;
mod fingerprint;
pub(crate) mod layout;
mod manifest;

use camino::{Utf8Path, Utf8PathBuf};
use shared::ModelFingerprint;
use walkdir::WalkDir;

pub use self::{
    error::BundleError,
    layout::Layout,
    manifest::{
        Clean, ImagePart, InterpolationSetting, Manifest, Padding, PreprocessSettings, ResizeSettings, TextPart,
    },
};
use crate::checksum::{Checksum, FileChecksums};

/// How deep files of a model lie: `onnx/…`, `visual/…`, and room for a folder around them.
const MAX_DEPTH: usize = 3;

/// A model whose files are all there and whose settings make sense.
#[derive(Debug, Clone)]
pub struct Bundle {
    folder: Utf8PathBuf,
    layout: Layout,
    manifest: Manifest,
    checksums: FileChecksums,
    fingerprint: ModelFingerprint,
}

impl Bundle {
    /// Reads a model in any of the layouts. Hashes all its files (about 0.6 s/GB): call it off the async threads.
    ///
    /// # Errors
    /// What [`BundleError`] lists, apart from the faults that only a loaded graph shows.
    pub fn open(folder: &Utf8Path) -> Result<Self, BundleError> {
        Self::open_variant(folder, None)
    }

    /// The same where a folder has several precisions of the graphs (`fp16`, `quantized`, …) and one is wanted.
    pub fn open_variant(folder: &Utf8Path, variant: Option<&str>) -> Result<Self, BundleError> {
        let (selection, manifest) = read(folder, &list(folder)?, variant)?;
        let checksums = fingerprint::hash_files(folder, &selection.files)?;
        check_checksums(folder, &manifest, &checksums)?;
        let fingerprint = fingerprint::of(&manifest, &checksums);
        Ok(Self { folder: folder.to_owned(), layout: selection.layout, manifest, checksums, fingerprint })
    }

    /// The fingerprint of a model of which only the settings (JSON and YAML) are in `folder`; the checksums are those of
    /// all its files.
    pub fn identify(
        folder: &Utf8Path,
        checksums: &FileChecksums,
        variant: Option<&str>,
    ) -> Result<ModelFingerprint, BundleError> {
        let names: Vec<String> = checksums.keys().cloned().collect();
        let (selection, manifest) = read(folder, &names, variant)?;
        let needed = selection.files.iter().map(|file| (file.clone(), checksums[file])).collect();
        Ok(fingerprint::of(&manifest, &needed))
    }

    /// Compares files with what somebody says they are.
    ///
    /// # Errors
    /// `Checksum` for the first that differs, `NotUsed` for one that the model doesn't have.
    pub fn expect(&self, expected: &FileChecksums) -> Result<(), BundleError> {
        for (file, &expected) in expected {
            let path = self.folder.join(file);
            match self.checksums.get(file) {
                Some(&found) if found == expected => {}
                Some(&found) => return Err(BundleError::Checksum { path, expected, found }),
                None => return Err(BundleError::not_used(path, self.checksums.keys())),
            }
        }
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Of every file that the model needs; others in its folder aren't looked at.
    pub fn checksums(&self) -> &FileChecksums {
        &self.checksums
    }

    /// Of every file that the model needs.
    pub fn size_bytes(&self) -> Result<u64, BundleError> {
        let size = |file: &String| {
            let path = self.folder.join(file);
            let metadata = path.metadata();
            metadata.map(|metadata| metadata.len()).map_err(|source| BundleError::read(path, source))
        };
        self.checksums.keys().map(size).sum()
    }

    /// Names what the model computes; the same model in another layout has the same one.
    pub fn fingerprint(&self) -> &ModelFingerprint {
        &self.fingerprint
    }

    pub(crate) fn path(&self, file: &Utf8Path) -> Utf8PathBuf {
        self.folder.join(file)
    }
}

/// Recognises the layout by the names, and reads the settings in the folder.
fn read(
    folder: &Utf8Path,
    names: &[String],
    variant: Option<&str>,
) -> Result<(layout::Selection, Manifest), BundleError> {
    let mut selection = layout::select(folder.as_str(), names, variant)?;
    selection.files.extend(layout::further_files(folder.as_str(), folder, &selection, names)?);
    let manifest = layout::read(folder, &selection.layout)?;
    check_settings(folder, &manifest)?;
    Ok((selection, manifest))
}

/// Paths of all files within the folder, `/` between the parts.
fn list(folder: &Utf8Path) -> Result<Vec<String>, BundleError> {
    let mut names = Vec::new();
    // Hubs' own caches are folders of links.
    for entry in WalkDir::new(folder).max_depth(MAX_DEPTH).follow_links(true) {
        let entry = entry.map_err(|error| BundleError::read(folder, error.into()))?;
        let name = Utf8Path::from_path(entry.path()).and_then(|path| path.strip_prefix(folder).ok());
        if let Some(name) = name.filter(|_| entry.file_type().is_file()) {
            names.push(name.as_str().to_owned());
        }
    }
    Ok(names)
}

fn check_settings(folder: &Utf8Path, manifest: &Manifest) -> Result<(), BundleError> {
    if let Some(fault) = manifest.image.preprocess.fault() {
        return Err(BundleError::invalid(folder, fault));
    }
    // Below 3 there is no room for a word between the two special tokens.
    if !(3..=32_768).contains(&manifest.text.context_length) {
        return Err(BundleError::invalid(folder, "the text's context length must be between 3 and 32768 tokens"));
    }
    Ok(())
}

fn check_checksums(folder: &Utf8Path, manifest: &Manifest, found: &FileChecksums) -> Result<(), BundleError> {
    for (file, &expected) in &manifest.checksums {
        let found: Checksum = found[file.as_str()];
        if found != expected {
            return Err(BundleError::Checksum { path: folder.join(file), expected, found });
        }
    }
    Ok(())
}
