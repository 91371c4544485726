//! Writing an archive: beside its final name until it is whole.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use futures::TryStreamExt;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared::{ImageId, ImageRecord, StoreId};
use tokio::runtime::Handle;

use super::{
    ArchiveError, ArchiveProgress, End, EntryKind, FORMAT, Manifest, Vectors,
    frames::{FrameWriter, Whole, find_whole_frames, write_frame},
};
use crate::{
    index::Collection,
    keys,
    records::{Original, RecordError, Records},
    stores::Stores,
};

/// What an export wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Images in the archive, deleted ones included: their records keep them from coming back.
    pub images: u64,
    /// Of these, how many an earlier run had written.
    pub resumed: u64,
    /// Images whose stored bytes are gone or damaged: only their records are in the archive.
    pub without_original: u64,
    /// Records that can't be read and are not in the archive; `imagesearch check` names them.
    pub damaged_records: u64,
    /// Size of the archive.
    pub bytes: u64,
}

/// Writes all records and originals, and the vectors of a collection if one is given, so that an import needs no model.
///
/// # Errors
/// `Exists` when there is a file of that name; `OtherExport` when an unfinished one was begun for another store or model.
pub async fn export(
    stores: &Stores,
    vectors_of: Option<Arc<dyn Collection>>,
    path: &Utf8Path,
    progress: impl FnMut(ArchiveProgress) + Send + 'static,
) -> Result<Exported, ArchiveError> {
    let exporter = Exporter {
        records: stores.records.clone(),
        store_id: stores.store_id,
        vectors_of,
        path: path.to_owned(),
        runtime: Handle::current(),
        done: Exported::default(),
    };
    super::blocking(move || exporter.run(progress)).await
}

/// Runs on a thread of its own: compression and files are synchronous, the stores are not.
struct Exporter {
    records: Records,
    store_id: StoreId,
    vectors_of: Option<Arc<dyn Collection>>,
    path: Utf8PathBuf,
    runtime: Handle,
    done: Exported,
}

/// Why a frame was not written.
enum FrameFault {
    /// The frame is written again without the bytes.
    OriginalUnusable,
    File(io::Error),
    Archive(ArchiveError),
}

impl From<io::Error> for FrameFault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl<E: Into<ArchiveError>> From<Stored<E>> for FrameFault {
    fn from(Stored(error): Stored<E>) -> Self {
        Self::Archive(error.into())
    }
}

/// A fault of a store, told apart from one of the archive's file.
struct Stored<E>(E);

impl Exporter {
    fn run(mut self, mut progress: impl FnMut(ArchiveProgress)) -> Result<Exported, ArchiveError> {
        if self.path.exists() {
            return Err(ArchiveError::Exists { path: self.path });
        }
        let partial = Utf8PathBuf::from(format!("{}.partial", self.path));
        let mut file = open_alone(&partial).map_err(|source| ArchiveError::Io { path: partial.clone(), source })?;
        let start_after = self.resume(&mut file, &partial)?;
        let images_total = Some(self.count_records()?);

        let runtime = self.runtime.clone();
        // From the first on also when it is continued: those that can't be read are not in the archive, and must be told again.
        let mut records = self.records.list(keys::RECORDS, None);
        while let Some(stored) = runtime.block_on(records.try_next())? {
            match stored.record {
                Ok(_) if start_after.is_some_and(|last| stored.image_id <= last) => continue,
                Ok(record) => self.write_image(&mut file, record)?,
                Err(_) => self.done.damaged_records += 1,
            }
            self.done.bytes = self.io(file.stream_position())?;
            progress(ArchiveProgress {
                images: self.done.images,
                images_total,
                bytes: self.done.bytes,
                bytes_total: None,
            });
        }
        self.finish(&mut file, &partial)?;
        Ok(self.done)
    }

    /// Cuts an unfinished archive back to its last whole frame, or begins a new one.
    fn resume(&mut self, file: &mut File, partial: &Utf8Path) -> Result<Option<ImageId>, ArchiveError> {
        let whole = self.io(find_whole_frames(file))?;
        self.io(file.set_len(whole.bytes).and_then(|()| file.seek(SeekFrom::Start(whole.bytes))))?;
        let manifest = self.manifest();
        let Whole { manifest: Some(begun), images, without_original, last_image, .. } = whole else {
            self.io(write_frame(file, |frame| write_json(frame, EntryKind::Manifest, &manifest)))?;
            return Ok(None);
        };
        if begun != (Manifest { created: begun.created, ..manifest }) {
            return Err(ArchiveError::OtherExport { path: partial.to_owned() });
        }
        self.done = Exported { images, resumed: images, without_original, ..Exported::default() };
        Ok(last_image)
    }

    fn manifest(&self) -> Manifest {
        let vectors = self.vectors_of.as_ref().map(|collection| {
            let spec = collection.spec();
            Vectors { model: spec.model.clone(), dimension: spec.dimension }
        });
        Manifest { format: FORMAT, store_id: self.store_id, vectors, created: Timestamp::now() }
    }

    fn count_records(&self) -> Result<u64, ArchiveError> {
        let listing = self.records.objects.list(keys::RECORDS, None);
        Ok(self.runtime.block_on(listing.try_fold(0, |count, _| async move { Ok(count + 1) }))?)
    }

    fn write_image(&mut self, file: &mut File, record: ImageRecord) -> Result<(), ArchiveError> {
        let (record, original) = match self.runtime.block_on(self.records.open_original(record.image_id, None)) {
            Ok(Some(original)) => (original.record.clone(), Some(original)),
            // Deleted, perhaps since it was listed.
            Ok(None) => (self.runtime.block_on(self.records.get(record.image_id))?.unwrap_or(record), None),
            Err(RecordError::OriginalMissing(_)) => (record, None),
            Err(error) => return Err(error.into()),
        };
        let has_lost_bytes = record.document().is_some() && original.is_none();
        let written = match write_frame(file, |frame| self.fill(frame, &record, original)) {
            Err(FrameFault::OriginalUnusable) => {
                write_frame(file, |frame| self.fill(frame, &record, None)).map(|()| true)
            }
            written => written.map(|()| has_lost_bytes),
        };
        match written {
            Ok(without_original) => {
                self.done.images += 1;
                self.done.without_original += u64::from(without_original);
                Ok(())
            }
            Err(FrameFault::Archive(error)) => Err(error),
            Err(FrameFault::File(source)) => Err(self.io_error(source)),
            Err(FrameFault::OriginalUnusable) => Err(RecordError::OriginalMissing(record.image_id).into()),
        }
    }

    fn fill(
        &self,
        frame: &mut FrameWriter<'_>,
        record: &ImageRecord,
        original: Option<Original>,
    ) -> Result<(), FrameFault> {
        write_json(frame, EntryKind::Record(record.image_id), record)?;
        if let Some(original) = original {
            self.copy_original(frame, record.image_id, original)?;
        }
        if let (Some(collection), Some(_)) = (&self.vectors_of, record.searchable()) {
            let point = self.runtime.block_on(collection.get(record.image_id)).map_err(Stored)?;
            if let Some(point) = point {
                let bytes: Vec<u8> = point.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                frame.entry(EntryKind::Vector(record.image_id), &bytes)?;
            }
        }
        Ok(())
    }

    fn copy_original(
        &self,
        frame: &mut FrameWriter<'_>,
        image_id: ImageId,
        original: Original,
    ) -> Result<(), FrameFault> {
        let Original { info, mut stream, .. } = original;
        let mut hasher = Sha256::new();
        let mut left_bytes = info.size_bytes;
        frame.begin(EntryKind::Original(image_id), info.size_bytes)?;
        while let Some(chunk) = self.runtime.block_on(stream.try_next()).map_err(Stored)? {
            hasher.update(&chunk);
            left_bytes = left_bytes.checked_sub(chunk.len() as u64).ok_or(FrameFault::OriginalUnusable)?;
            frame.write(&chunk)?;
        }
        frame.end(info.size_bytes)?;
        let is_whole = left_bytes == 0 && ImageId::from_digest(hasher.finalize().into()) == image_id;
        if is_whole { Ok(()) } else { Err(FrameFault::OriginalUnusable) }
    }

    fn finish(&mut self, file: &mut File, partial: &Utf8Path) -> Result<(), ArchiveError> {
        let end = End { images: self.done.images };
        let finished = write_frame(file, |frame| {
            write_json(frame, EntryKind::End, &end)?;
            frame.end_archive()
        });
        self.io(finished)?;
        self.io(file.sync_all().and_then(|()| fs::rename(partial, &self.path)))?;
        self.done.bytes = self.io(file.stream_position())?;
        // The name is durable once its folder is.
        let folder = self.path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        self.io(File::open(folder).and_then(|folder| folder.sync_all()))
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, ArchiveError> {
        result.map_err(|source| self.io_error(source))
    }

    fn io_error(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Io { path: self.path.clone(), source }
    }
}

fn write_json(frame: &mut FrameWriter<'_>, kind: EntryKind, value: &impl serde::Serialize) -> io::Result<()> {
    frame.entry(kind, &serde_json::to_vec_pretty(value)?)
}

/// Opens the unfinished archive for this process alone.
fn open_alone(partial: &Utf8Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(partial)?;
    file.try_lock()?;
    Ok(file)
}
