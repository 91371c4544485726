//! Everything of a store in one file: a tar archive compressed with zstd, one zstd frame an image.
//!
//! Entries, in this order: `manifest.json`; for each image `records/ab/<id>.json`, and, when it is present,
//! `originals/ab/<id>` and `vectors/ab/<id>.f32` (little-endian; only when a model's vectors are exported too);
//! `end.json`. `tar --zstd -tf` lists it.
//!
//! An export is no snapshot: each image is as it was when it was written. An export that was cut off goes on after the last
//! whole frame of its `.partial` file when it is run again; an import that was cut off is run again and skips what it has
//! brought over already.

mod export;
mod frames;
mod import;

use std::io;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{ImageId, ModelFingerprint, StoreId};

pub use self::{
    export::{Exported, export},
    import::{Imported, import},
};
use crate::{error::StoreError, index::IndexError, objects::ObjectError, queue::QueueError, records::RecordError};

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const END: &str = "end.json";
const VECTORS: &str = "vectors";

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("archive {path} can't be read or written")]
    Io {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("archive {path} exists already; remove it or choose another name")]
    Exists { path: Utf8PathBuf },
    #[error("{path} was begun for another store or another model; remove it or choose another name")]
    OtherExport { path: Utf8PathBuf },
    #[error("{path} is not an archive of imagesearch: {reason}")]
    NotAnArchive { path: Utf8PathBuf, reason: String },
    #[error("archive {path} ends in the middle, after {images} images; export it again")]
    CutOff { path: Utf8PathBuf, images: u64 },
    #[error("entry {entry} of the archive is damaged: {reason}")]
    DamagedEntry { entry: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far an export or import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveProgress {
    pub images: u64,
    /// Known for exports.
    pub images_total: Option<u64>,
    /// Of the archive.
    pub bytes: u64,
    /// Known for imports.
    pub bytes_total: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    store_id: StoreId,
    /// Whose vectors are in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vectors: Option<Vectors>,
    created: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Vectors {
    model: ModelFingerprint,
    dimension: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    images: u64,
}

/// What an entry's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Manifest,
    Record(ImageId),
    Original(ImageId),
    Vector(ImageId),
    End,
}

impl EntryKind {
    fn name(self) -> String {
        let shard = |image_id: ImageId| format!("{:02x}", image_id.digest()[0]);
        match self {
            Self::Manifest => MANIFEST.into(),
            Self::Record(image_id) => format!("records/{}/{image_id}.json", shard(image_id)),
            Self::Original(image_id) => format!("originals/{}/{image_id}", shard(image_id)),
            Self::Vector(image_id) => format!("{VECTORS}/{}/{image_id}.f32", shard(image_id)),
            Self::End => END.into(),
        }
    }

    /// `None` for a name that no entry has: nothing in an archive decides where a file is written.
    fn parse(name: &str) -> Option<Self> {
        let last = name.rsplit('/').next()?;
        let image_id: Option<ImageId> = last.split('.').next().and_then(|id| id.parse().ok());
        let of_image = |kind: fn(ImageId) -> Self| image_id.map(kind);
        [
            Some(Self::Manifest),
            Some(Self::End),
            of_image(Self::Record),
            of_image(Self::Original),
            of_image(Self::Vector),
        ]
        .into_iter()
        .flatten()
        .find(|kind| kind.name() == name)
    }
}

impl From<ObjectError> for ArchiveError {
    fn from(error: ObjectError) -> Self {
        Self::Store(error.into())
    }
}

impl From<RecordError> for ArchiveError {
    fn from(error: RecordError) -> Self {
        Self::Store(error.into())
    }
}

impl From<IndexError> for ArchiveError {
    fn from(error: IndexError) -> Self {
        Self::Store(error.into())
    }
}

impl From<QueueError> for ArchiveError {
    fn from(error: QueueError) -> Self {
        Self::Store(error.into())
    }
}

/// Runs an export or import on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            Err(ObjectError::Unavailable { context: "the process is ending".into(), source: error.into() }.into())
        }
    }
}

#[cfg(test)]
mod tests;
