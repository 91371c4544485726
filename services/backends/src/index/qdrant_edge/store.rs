//! One collection on disk: its lock, its shard and its journal, and what changes them.
//!
//! | in the folder | holds |
//! |---|---|
//! | `collection.json` | for which store and model it is |
//! | `lock` | locked by the process that has it open |
//! | `journal` | changes since the last flush |
//! | `shard/` | qdrant-edge's files |

use std::{
    collections::HashSet,
    fs, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use qdrant_edge::{
    EdgeShard, PayloadOps, PointInsertOperations, PointOperations, PointStructPersisted, SetPayloadOp, UpdateOperation,
    VectorStructPersisted,
};
use shared::ImageDocument;

use super::{
    super::{CollectionSpec, IndexError},
    identity,
    journal::{Change, Journal},
    maintenance::{self, Waker},
    payload::{is_number_key, number_keys, point_id, to_payload},
    shard::{self, ShardError},
    unavailable,
};

/// Number fields beyond these are compared without an index.
const MAX_NUMBER_INDEXES: usize = 64;

/// A process that ends needs this long to let go, at most.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

struct Writer {
    journal: Journal,
    /// Payload keys of the user's numbers that have an index.
    number_indexes: HashSet<String>,
}

pub(super) struct Store {
    pub(super) spec: CollectionSpec,
    folder: Utf8PathBuf,
    /// None once the collection was removed.
    shard: RwLock<Option<EdgeShard>>,
    closed: AtomicBool,
    /// Held by whoever changes the shard: one change at a time, in the journal and in the shard alike.
    writer: Mutex<Writer>,
    /// Points written since the last optimisation.
    pub(super) unoptimized: AtomicU64,
    waker: Waker,
    _lock: fs::File,
}

impl Store {
    /// Opens a collection, made when absent.
    ///
    /// # Errors
    /// `ForeignStore` when it is another store's or damaged, `Unavailable` when another process has it open, or when its
    /// files can't be read or written for now.
    pub(super) fn open(folder: &Utf8Path, spec: &CollectionSpec) -> Result<Arc<Self>, IndexError> {
        if !folder.exists() {
            make(folder, spec)?;
        }
        identity::check(folder, spec)?;
        let lock = lock(&folder.join("lock"))?;
        let (shard, journal) = load(folder, spec.dimension).map_err(|error| refuse(folder, spec, error))?;
        let (waker, wakes) = maintenance::channel();
        let info = shard.info();
        let number_indexes =
            info.payload_schema.keys().map(ToString::to_string).filter(|key| is_number_key(key)).collect();
        let store = Arc::new(Self {
            spec: spec.clone(),
            folder: folder.to_owned(),
            shard: RwLock::new(Some(shard)),
            closed: AtomicBool::new(false),
            writer: Mutex::new(Writer { journal, number_indexes }),
            // What the last process left is looked at once this one is idle.
            unoptimized: AtomicU64::new(u64::from(info.points_count > 0)),
            waker,
            _lock: lock,
        });
        store.waker.wake();
        maintenance::start(&store, wakes)
            .map_err(|source| unavailable("cannot start the index's maintenance thread", source))?;
        Ok(store)
    }

    /// Does something with the shard, while it is there.
    pub(super) fn with<T>(&self, work: impl FnOnce(&EdgeShard) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let gone = || unavailable(format!("collection {} was removed", self.spec.model), "open it again");
        // Asked first: who closes it waits for its lock, and nobody should queue behind that.
        if self.closed.load(Ordering::Relaxed) {
            return Err(gone());
        }
        let shard = self.shard.read().unwrap_or_else(PoisonError::into_inner);
        work(shard.as_ref().ok_or_else(gone)?)
    }

    /// Makes a change durable, then visible. False when it is for a point that isn't there.
    pub(super) fn change(&self, change: &Change) -> Result<bool, IndexError> {
        self.with(|shard| {
            let mut writer = self.writer();
            if let Change::SetDocument(document) = change
                && !has_point(shard, document)?
            {
                return Ok(false);
            }
            let journaled = writer.journal.append(change);
            journaled.map_err(|source| unavailable(format!("cannot write to {}", self.folder), source))?;
            apply(shard, change).map_err(|source| unavailable("cannot change the index", source))?;
            index_numbers(shard, change, &mut writer.number_indexes);
            drop(writer);
            self.unoptimized.fetch_add(weight(change), Ordering::Relaxed);
            self.waker.wake();
            Ok(true)
        })
    }

    /// Flushes the shard and empties the journal. Changes wait meanwhile, searches don't.
    pub(super) fn checkpoint(&self) -> Result<(), IndexError> {
        self.with(|shard| {
            let journal = &mut self.writer().journal;
            if journal.length() == 0 {
                return Ok(());
            }
            let bytes = journal.length();
            let started = Instant::now();
            shard::flush(shard).map_err(|source| unavailable("cannot flush the index", source))?;
            journal.clear().map_err(|source| unavailable("cannot empty the journal", source))?;
            tracing::debug!(collection = %self.spec.model, bytes, elapsed = ?started.elapsed(), "flushed the index");
            if let Err(error) = shard::free_closed_wal(&self.folder.join(SHARD)) {
                // Not every file system can; the next start removes them.
                tracing::debug!(collection = %self.spec.model, %error, "closed log segments stay");
            }
            Ok(())
        })
    }

    /// Bytes of changes that are not flushed.
    pub(super) fn journal_length(&self) -> u64 {
        self.writer().journal.length()
    }

    /// Ends it for everybody who still holds it; its files are no longer touched once this returns.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let shard = self.shard.write().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping flushes, and only what was flushed may leave the journal.
        let closed = shard::contained(|| {
            drop(shard);
            Ok(self.writer().journal.clear()?)
        });
        if let Err(error) = closed {
            tracing::warn!(collection = %self.spec.model, %error, "changes stay in the journal");
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Relaxed) {
            self.close();
        }
    }
}

const SHARD: &str = "shard";

/// Makes the whole collection beside its place and moves it there, so that there is never half of one.
fn make(folder: &Utf8Path, spec: &CollectionSpec) -> Result<(), IndexError> {
    let failed = |source: ShardError| unavailable(format!("cannot make collection {folder}"), source);
    let parent = folder.parent().unwrap_or(folder);
    let hidden = parent.join(format!("{}{}", super::MAKING, spec.model));
    let make = || {
        if hidden.exists() {
            fs::remove_dir_all(&hidden)?;
        }
        fs::create_dir(&hidden)?;
        shard::create(&hidden.join(SHARD), spec.dimension)?;
        identity::write(&hidden, spec)?;
        fs::rename(&hidden, folder)?;
        fs::File::open(parent)?.sync_all()?;
        Ok(())
    };
    make().map_err(failed)
}

fn lock(path: &Utf8Path) -> Result<fs::File, IndexError> {
    let failed =
        |source| unavailable(format!("cannot lock {path}; is another process using this data folder?"), source);
    let file = fs::File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(failed(error.into())),
        }
    }
}

fn load(folder: &Utf8Path, dimension: usize) -> Result<(EdgeShard, Journal), ShardError> {
    let shard = shard::load(&folder.join(SHARD), dimension)?;
    let journal = Journal::open(&folder.join("journal"), |change| apply(&shard, &change))?;
    Ok((shard, journal))
}

/// Who is told `ForeignStore` gives the collection up. A disk that is full or away is no reason for that: it may take hours
/// to make all vectors again.
fn refuse(folder: &Utf8Path, spec: &CollectionSpec, error: ShardError) -> IndexError {
    match error {
        ShardError::Files(source) if !is_damage(&source) => unavailable(cannot_read(folder), source),
        error => {
            tracing::error!(collection = %spec.model, %error, "collection cannot be loaded");
            IndexError::ForeignStore { collection: spec.model.to_string() }
        }
    }
}

/// What files that are lost or hold something else give, however often they are read.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | IsADirectory | NotADirectory | NotFound | UnexpectedEof)
}

/// What the files of a collection can't be used for, and the way out.
pub(super) fn cannot_read(folder: &Utf8Path) -> String {
    format!("cannot read or write {folder} for now; mend that, or remove the folder to have it made again")
}

fn apply(shard: &EdgeShard, change: &Change) -> Result<(), ShardError> {
    let operation = match change {
        Change::Upsert(points) => {
            let points =
                points.iter().map(|(document, vector)| to_point(document, vector)).collect::<Result<_, _>>()?;
            UpdateOperation::PointOperation(PointOperations::UpsertPoints(PointInsertOperations::PointsList(points)))
        }
        Change::SetDocument(document) => {
            UpdateOperation::PayloadOperation(PayloadOps::OverwritePayload(SetPayloadOp {
                payload: to_payload(document)?,
                points: Some(vec![point_id(document.image_id)]),
                filter: None,
                key: None,
            }))
        }
        Change::Delete(image_ids) => {
            let ids = image_ids.iter().copied().map(point_id).collect();
            UpdateOperation::PointOperation(PointOperations::DeletePoints { ids })
        }
    };
    shard::contained(|| Ok(shard.update(operation)?))
}

/// Gives every number field of the user's an index when it is first seen: without, each search by it would read all
/// documents. It would find the same ones, so that a fault here is not one of the change.
fn index_numbers(shard: &EdgeShard, change: &Change, indexed: &mut HashSet<String>) {
    let documents: Vec<&ImageDocument> = match change {
        Change::Upsert(points) => points.iter().map(|(document, _)| document).collect(),
        Change::SetDocument(document) => vec![document],
        Change::Delete(_) => Vec::new(),
    };
    for key in documents.into_iter().flat_map(number_keys) {
        if indexed.len() >= MAX_NUMBER_INDEXES || indexed.contains(&key) {
            continue;
        }
        if let Err(error) = shard::index_number(shard, &key) {
            tracing::warn!(key, %error, "cannot index a number field; filters by it will be slow");
        }
        indexed.insert(key);
    }
}

fn to_point(document: &ImageDocument, vector: &[f32]) -> Result<PointStructPersisted, ShardError> {
    Ok(PointStructPersisted {
        id: point_id(document.image_id),
        vector: VectorStructPersisted::Single(vector.to_vec()),
        payload: Some(to_payload(document)?),
    })
}

fn has_point(shard: &EdgeShard, document: &ImageDocument) -> Result<bool, IndexError> {
    let found = shard.retrieve(&[point_id(document.image_id)], Some(false.into()), None);
    found.map(|found| !found.is_empty()).map_err(|source| unavailable("cannot read the index", source))
}

/// Points that a change leaves to be optimised.
fn weight(change: &Change) -> u64 {
    match change {
        Change::Upsert(points) => points.len() as u64,
        Change::SetDocument(_) => 1,
        Change::Delete(image_ids) => image_ids.len() as u64,
    }
}
