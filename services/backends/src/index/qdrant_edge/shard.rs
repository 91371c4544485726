//! qdrant-edge's shard: its settings, how it is made and loaded, and what it needs to be told on disk.

use std::{
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    thread::available_parallelism,
};

use camino::Utf8Path;
use qdrant_edge::{
    CreateIndex, DEFAULT_VECTOR_NAME, DatetimeIndexParams, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard,
    EdgeVectorParams, FieldIndexOperations, FloatIndexParams, HnswIndexConfig, KeywordIndexParams, OperationError,
    PayloadFieldSchema, PayloadSchemaParams, UpdateOperation, WalOptions,
};
use rustix::fs::{FallocateFlags, fallocate};
use shared::filter::Field;

use super::{
    payload::{TERMS, key},
    translate::path,
};

const WAL: &str = "wal";

/// A segment below this is searched exactly, which is faster than a graph there (10,000 vectors of 512 dimensions).
const INDEXING_THRESHOLD_KB: usize = 20_000;

/// When a filter leaves fewer vectors than this, they are searched exactly: a graph loses its way among few that pass.
const FULL_SCAN_THRESHOLD_KB: usize = 40_000;

const WAL_SEGMENT_BYTES: usize = 8 << 20;

/// "wal", a version of 0, and four bytes that seed the checksums.
const WAL_HEADER: &[u8; 8] = b"wal\0seed";
const WAL_HEADER_BYTES: u64 = WAL_HEADER.len() as u64;

#[derive(Debug, thiserror::Error)]
pub(super) enum ShardError {
    #[error(transparent)]
    Files(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error("qdrant-edge panicked: {0}")]
    Panic(String),
}

/// Makes an empty shard and leaves it on disk: it is flushed when it is dropped.
pub(super) fn create(folder: &Utf8Path, dimension: usize) -> Result<(), ShardError> {
    contained(|| {
        fs::create_dir(folder)?;
        let shard = EdgeShard::new(folder.as_std_path(), config(dimension))?;
        payload_indexes().into_iter().try_for_each(|(key, schema)| create_index(&shard, &key, schema))
    })
}

/// Indexes a payload key that holds numbers.
pub(super) fn index_number(shard: &EdgeShard, key: &str) -> Result<(), ShardError> {
    contained(|| create_index(shard, key, float_index()))
}

pub(super) fn load(folder: &Utf8Path, dimension: usize) -> Result<EdgeShard, ShardError> {
    contained(|| {
        reset_wal(&folder.join(WAL))?;
        Ok(EdgeShard::load(folder.as_std_path(), Some(config(dimension)))?)
    })
}

/// Makes everything durable that was applied. No update may run meanwhile: qdrant-edge panics when it meets one.
pub(super) fn flush(shard: &EdgeShard) -> Result<(), ShardError> {
    contained(|| {
        shard.flush();
        Ok(())
    })
}

/// Builds what searches need to be fast; updates and searches go on meanwhile.
pub(super) fn optimize(shard: &EdgeShard) -> Result<bool, ShardError> {
    contained(|| Ok(shard.optimize()?))
}

/// A faulty disk makes qdrant-edge panic, also when it is dropped.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, ShardError>) -> Result<T, ShardError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Err(ShardError::Panic(text.unwrap_or_else(|| "without a message".into())))
    })
}

fn config(dimension: usize) -> EdgeConfig {
    let threads = available_parallelism().map_or(1, |count| count.get() / 2).clamp(1, 8);
    // On disk means memory-mapped: the page cache serves it as fast, and gives it back under pressure.
    let vectors = EdgeVectorParams::builder(dimension, Distance::Cosine).on_disk(true).build();
    let hnsw = HnswIndexConfig {
        m: 16,
        ef_construct: 100,
        full_scan_threshold: FULL_SCAN_THRESHOLD_KB,
        max_indexing_threads: threads,
        on_disk: None,
        payload_m: Some(0),
        inline_storage: None,
    };
    let optimizers =
        EdgeOptimizersConfig { indexing_threshold: Some(INDEXING_THRESHOLD_KB), ..EdgeOptimizersConfig::default() };
    EdgeConfig::builder()
        .vector(DEFAULT_VECTOR_NAME, vectors)
        .on_disk_payload(true)
        .hnsw_config(hnsw)
        .optimizers(optimizers)
        .wal_options(WalOptions { segment_capacity: WAL_SEGMENT_BYTES, ..WalOptions::default() })
        .build()
}

fn payload_indexes() -> Vec<(String, PayloadSchemaParams)> {
    let terms = KeywordIndexParams { on_disk: Some(true), enable_hnsw: Some(false), ..KeywordIndexParams::default() };
    let time = DatetimeIndexParams { on_disk: Some(true), enable_hnsw: Some(false), ..DatetimeIndexParams::default() };
    let numbers = [Field::Width, Field::Height, Field::AspectRatio, Field::SizeBytes];
    let times = [Field::Created, Field::Captured];
    let mut indexes = vec![(TERMS.to_owned(), PayloadSchemaParams::Keyword(terms))];
    indexes.extend(numbers.map(|field| (key(&field), float_index())));
    indexes.extend(times.map(|field| (key(&field), PayloadSchemaParams::Datetime(time.clone()))));
    indexes
}

fn float_index() -> PayloadSchemaParams {
    let params = FloatIndexParams { on_disk: Some(true), enable_hnsw: Some(false), ..FloatIndexParams::default() };
    PayloadSchemaParams::Float(params)
}

fn create_index(shard: &EdgeShard, key: &str, schema: PayloadSchemaParams) -> Result<(), ShardError> {
    let create = CreateIndex { field_name: path(key), field_schema: Some(PayloadFieldSchema::FieldParams(schema)) };
    Ok(shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(create)))?)
}

/// Begins qdrant-edge's own log anew. Nothing reads it back (the journal is what is replayed), but its position numbers
/// the operations, and a segment ignores an operation with a lower number than its last. So it must go on, also when
/// the log was lost with the power: an empty closed log segment says where.
fn reset_wal(wal: &Utf8Path) -> io::Result<()> {
    /// More operations than fit into what a segment of the log can hold.
    const GAP: u64 = 1 << 24;
    let last_start = closed_wal_segments(wal)?.into_iter().map(|(start, _)| start).max().unwrap_or(0);
    let now_us = jiff::Timestamp::now().as_microsecond().max(0) as u64;
    let start = now_us.max(last_start + GAP);
    match fs::remove_dir_all(wal) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(wal)?,
    }
    let mut segment = fs::File::create(wal.join(format!("closed-{start}")))?;
    segment.write_all(WAL_HEADER)?;
    segment.sync_all()
}

/// Gives back the disk space of the log's closed segments, which qdrant-edge 0.7 keeps for ever. It has them mapped but
/// never looks at them again, so their blocks are freed rather than waiting for the mapping to end.
pub(super) fn free_closed_wal(folder: &Utf8Path) -> io::Result<()> {
    let mut segments = closed_wal_segments(&folder.join(WAL))?;
    segments.sort_unstable();
    // The newest keeps its name, so that a restart knows where the numbers are.
    let newest = segments.pop();
    for (_, segment) in segments.iter().chain(&newest) {
        let file = fs::File::options().write(true).open(segment)?;
        let length = file.metadata()?.len();
        if length > WAL_HEADER_BYTES {
            let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&file, holes, WAL_HEADER_BYTES, length - WAL_HEADER_BYTES)?;
        }
    }
    segments.into_iter().try_for_each(|(_, segment)| fs::remove_file(segment))
}

/// The start and path of each closed segment of the log.
fn closed_wal_segments(wal: &Utf8Path) -> io::Result<Vec<(u64, camino::Utf8PathBuf)>> {
    let entries = match fs::read_dir(wal) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(start) = name.strip_prefix("closed-").and_then(|start| start.parse().ok()) {
            segments.push((start, wal.join(name)));
        }
    }
    Ok(segments)
}
