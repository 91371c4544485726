//! Reading an archive: entry by entry, so that neither its size nor that of an image matters. The highest version of an
//! image wins, wherever it comes from.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use shared::{ImageId, ImageRecord};
use tokio::{runtime::Handle, task::JoinSet};

use super::{ArchiveError, ArchiveProgress, End, EntryKind, FORMAT, Manifest, frames::Counted};
use crate::{
    error::StoreError,
    index::Collection,
    objects::StagedObject,
    projection::{Embedded, Presented, Projection},
    records::{MAX_RECORD_BYTES, Records},
    repair::{Enqueuer, WhenFull},
    stores::Stores,
};

const CHUNK_BYTES: usize = 256 << 10;
/// Images whose bytes are made durable at once.
const MAX_IN_FLIGHT: usize = 16;
/// Vectors written to the index in one step.
const BATCH: usize = 128;

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Images in the archive.
    pub images: u64,
    /// Images that were taken over, deletes included.
    pub changed: u64,
    /// Vectors that were taken over, so that no model has to run.
    pub vectors: u64,
    /// Jobs made for images without a usable vector.
    pub enqueued: u64,
    /// Jobs that the queue had no room for; sweeps make them.
    pub left: u64,
}

/// Brings everything of an archive into the stores. What is there at the same or a higher version stays, so running it
/// again goes on where it ended.
///
/// # Errors
/// `CutOff` when the archive ends in the middle; everything before that is imported.
pub async fn import(
    stores: &Stores,
    collection: &Arc<dyn Collection>,
    path: &Utf8Path,
    progress: impl FnMut(ArchiveProgress) + Send + 'static,
) -> Result<Imported, ArchiveError> {
    let importer = Importer {
        target: Target {
            records: stores.records.clone(),
            projection: stores.projection(collection),
            collection: collection.clone(),
        },
        path: path.to_owned(),
        runtime: Handle::current(),
        manifest: None,
        current: None,
        in_flight: JoinSet::new(),
        vectors: Vec::with_capacity(BATCH),
        // An import by the command line has no worker beside it.
        enqueuer: Enqueuer::new(stores.queue.clone(), collection.spec().model.clone(), WhenFull::Leave),
        end: None,
        done: Imported::default(),
    };
    super::blocking(move || importer.run(progress)).await
}

#[derive(Clone)]
struct Target {
    records: Records,
    projection: Projection,
    collection: Arc<dyn Collection>,
}

struct Importer {
    target: Target,
    path: Utf8PathBuf,
    runtime: Handle,
    manifest: Option<Manifest>,
    current: Option<Incoming>,
    in_flight: JoinSet<Result<Settled, StoreError>>,
    vectors: Vec<Embedded>,
    enqueuer: Enqueuer,
    end: Option<End>,
    done: Imported,
}

/// An image while its entries are read.
struct Incoming {
    record: ImageRecord,
    wants_bytes: bool,
    staged: Option<Box<dyn StagedObject>>,
    vector: Option<Vec<f32>>,
}

/// What is left to do for an image whose record is in place.
struct Settled {
    changed: bool,
    embedded: Option<Embedded>,
    unindexed: Option<ImageRecord>,
}

impl Importer {
    fn run(mut self, progress: impl FnMut(ArchiveProgress)) -> Result<Imported, ArchiveError> {
        let read = self.read_entries(progress);
        // What was read whole is imported, whatever comes after it.
        let settled = self.settle_all();
        match read {
            Err(ArchiveError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {}
            read => read?,
        }
        settled?;
        if self.end != Some(End { images: self.done.images }) {
            return Err(ArchiveError::CutOff { path: self.path, images: self.done.images });
        }
        Ok(self.done)
    }

    fn read_entries(&mut self, mut progress: impl FnMut(ArchiveProgress)) -> Result<(), ArchiveError> {
        let file = File::open(&self.path).map_err(|source| self.io_error(source))?;
        let bytes_total = file.metadata().ok().map(|metadata| metadata.len());
        let reader = Counted::new(BufReader::with_capacity(1 << 20, file));
        let bytes = reader.bytes.clone();
        let decoder = zstd::Decoder::with_buffer(reader).map_err(|source| self.io_error(source))?;
        let mut archive = tar::Archive::new(decoder);
        for entry in archive.entries().map_err(|source| self.io_error(source))? {
            let entry = entry.map_err(|source| self.io_error(source))?;
            self.take_entry(entry)?;
            progress(ArchiveProgress { images: self.done.images, images_total: None, bytes: bytes.get(), bytes_total });
        }
        Ok(())
    }

    fn take_entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match EntryKind::parse(&name) {
            Some(EntryKind::Manifest) => self.take_manifest(&mut entry),
            Some(_) if self.manifest.is_none() => {
                Err(self.not_an_archive("it does not begin with its manifest".into()))
            }
            Some(EntryKind::Record(image_id)) => self.begin_image(image_id, &mut entry),
            Some(EntryKind::Original(image_id)) => self.take_original(image_id, &mut entry),
            Some(EntryKind::Vector(image_id)) => self.take_vector(image_id, &mut entry),
            Some(EntryKind::End) => {
                self.end = Some(self.read_json(&name, &mut entry)?);
                self.settle_current()
            }
            None => Err(self.not_an_archive(format!("it has an entry {name:?}"))),
        }
    }

    fn take_manifest(&mut self, entry: &mut impl Read) -> Result<(), ArchiveError> {
        let manifest: Manifest = self.read_json(&EntryKind::Manifest.name(), entry)?;
        if manifest.format != FORMAT {
            return Err(self.not_an_archive(format!("its format is {}, this program reads {FORMAT}", manifest.format)));
        }
        self.manifest = Some(manifest);
        Ok(())
    }

    fn begin_image(&mut self, image_id: ImageId, entry: &mut impl Read) -> Result<(), ArchiveError> {
        self.settle_current()?;
        let name = EntryKind::Record(image_id).name();
        let record: ImageRecord = self.read_json(&name, entry)?;
        if record.image_id != image_id {
            return Err(ArchiveError::DamagedEntry { entry: name, reason: "it is another image's".into() });
        }
        let wants_bytes = self.runtime.block_on(self.target.records.wants_bytes(&record))?;
        self.current = Some(Incoming { record, wants_bytes, staged: None, vector: None });
        Ok(())
    }

    fn take_original(&mut self, image_id: ImageId, entry: &mut impl Read) -> Result<(), ArchiveError> {
        let name = EntryKind::Original(image_id).name();
        if !self.current_of(image_id, &name)?.wants_bytes {
            return Ok(());
        }
        let mut staged = self.runtime.block_on(self.target.records.objects.stage())?;
        let mut hasher = Sha256::new();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            entry.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk).map_err(|source| self.io_error(source))?;
            if chunk.is_empty() {
                break;
            }
            hasher.update(&chunk);
            self.runtime.block_on(staged.write(Bytes::from(chunk)))?;
        }
        if ImageId::from_digest(hasher.finalize().into()) != image_id {
            return Err(ArchiveError::DamagedEntry { entry: name, reason: "its bytes have another SHA-256".into() });
        }
        self.current_of(image_id, &name)?.staged = Some(staged);
        Ok(())
    }

    fn take_vector(&mut self, image_id: ImageId, entry: &mut impl Read) -> Result<(), ArchiveError> {
        let name = EntryKind::Vector(image_id).name();
        let spec = self.target.collection.spec();
        let dimension = spec.dimension;
        let vectors = self.manifest.as_ref().and_then(|manifest| manifest.vectors.as_ref());
        // Another model's vectors are of no use here: a job makes new ones.
        if vectors.is_none_or(|vectors| vectors.model != spec.model || vectors.dimension != dimension) {
            return Ok(());
        }
        let bytes = self.read_bounded(entry, 4 * dimension as u64)?;
        let (values, rest) = bytes.as_chunks::<4>();
        let vector: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        if vector.len() != dimension || !rest.is_empty() {
            let reason = format!("it has {} bytes instead of {}", bytes.len(), 4 * dimension);
            return Err(ArchiveError::DamagedEntry { entry: name, reason });
        }
        self.current_of(image_id, &name)?.vector = Some(vector);
        Ok(())
    }

    fn current_of(&mut self, image_id: ImageId, entry: &str) -> Result<&mut Incoming, ArchiveError> {
        self.current.as_mut().filter(|incoming| incoming.record.image_id == image_id).ok_or_else(|| {
            ArchiveError::DamagedEntry { entry: entry.into(), reason: "it does not follow its record".into() }
        })
    }

    /// Puts the image that was read in its place, beside those before it.
    fn settle_current(&mut self) -> Result<(), ArchiveError> {
        let Some(incoming) = self.current.take() else { return Ok(()) };
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.settle_one()?;
        }
        self.done.images += 1;
        self.in_flight.spawn_on(self.target.clone().settle(incoming), &self.runtime);
        Ok(())
    }

    fn settle_all(&mut self) -> Result<(), ArchiveError> {
        // After a fault in the archive the last image may be incomplete: only `settle_current` knows that it is whole.
        self.current = None;
        while !self.in_flight.is_empty() {
            self.settle_one()?;
        }
        self.write_vectors()?;
        self.runtime.block_on(self.enqueuer.flush())?;
        self.done = Imported { enqueued: self.enqueuer.enqueued, left: self.enqueuer.left, ..self.done };
        Ok(())
    }

    fn settle_one(&mut self) -> Result<(), ArchiveError> {
        let settled = match self.runtime.block_on(self.in_flight.join_next()) {
            None => return Ok(()),
            Some(Ok(settled)) => settled?,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(error)) => return Err(self.io_error(io::Error::other(error))),
        };
        self.done.changed += u64::from(settled.changed);
        if let Some(record) = settled.unindexed {
            self.runtime.block_on(self.enqueuer.add(&record))?;
        }
        self.vectors.extend(settled.embedded);
        if self.vectors.len() >= BATCH { self.write_vectors() } else { Ok(()) }
    }

    fn write_vectors(&mut self) -> Result<(), ArchiveError> {
        let batch = std::mem::take(&mut self.vectors);
        let Target { projection, collection, .. } = &self.target;
        let presented = self.runtime.block_on(projection.present(collection.as_ref(), &batch))?;
        self.done.vectors += presented.iter().filter(|presented| **presented == Presented::Indexed).count() as u64;
        Ok(())
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str, entry: &mut impl Read) -> Result<T, ArchiveError> {
        let bytes = self.read_bounded(entry, MAX_RECORD_BYTES)?;
        let damaged =
            |error: serde_json::Error| ArchiveError::DamagedEntry { entry: name.into(), reason: error.to_string() };
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// At most one byte more than the limit, so that what is too long shows.
    fn read_bounded(&self, entry: &mut impl Read, limit_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        entry.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(|source| self.io_error(source))?;
        Ok(bytes)
    }

    fn not_an_archive(&self, reason: String) -> ArchiveError {
        ArchiveError::NotAnArchive { path: self.path.clone(), reason }
    }

    fn io_error(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Io { path: self.path.clone(), source }
    }
}

impl Target {
    async fn settle(self, incoming: Incoming) -> Result<Settled, StoreError> {
        let Incoming { record, staged, vector, .. } = incoming;
        let changed = self.records.take_over(&record, staged).await?;
        if record.searchable().is_none() {
            if changed {
                self.projection.align(record.image_id).await?;
            }
            return Ok(Settled { changed, embedded: None, unindexed: None });
        }
        let current = self.records.get(record.image_id).await?.filter(|current| current.version == record.version);
        let Some(current) = current.filter(|current| current.searchable().is_some()) else {
            return Ok(Settled { changed, embedded: None, unindexed: None });
        };
        let point = self.collection.get(record.image_id).await?;
        if point.is_some_and(|point| point.document.version == record.version) {
            return Ok(Settled { changed, embedded: None, unindexed: None });
        }
        Ok(match vector {
            Some(vector) => Settled { changed, embedded: Some(Embedded { record: current, vector }), unindexed: None },
            None => Settled { changed, embedded: None, unindexed: changed.then_some(current) },
        })
    }
}
