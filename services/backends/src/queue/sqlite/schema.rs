//! Opening the database file: durable settings, schema brought up to date.
//! What is wrong with a file is said together with what to do.

use std::{fs, sync::Arc, time::Duration};

use camino::Utf8Path;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::queue::QueueError;

/// Step n brings a file from `user_version` n to n + 1. Steps that were released are never changed.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_tasks.sql")];

/// Other programs that look into the file (a backup, `sqlite3`) may hold its lock for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A lease belongs to a process: whoever held one before this start is gone. The attempt still counts, since the job may
/// be what ended it.
const RELEASE_LEASES: &str =
    "UPDATE tasks SET status = 'queued', token = NULL, due_us = NULL WHERE status = 'processing'";

/// The connection that writes, its schema up to date and no job leased. The file and its folder are made when absent.
pub(super) fn open_writer(path: &Utf8Path) -> Result<Connection, QueueError> {
    if let Some(folder) = path.parent() {
        let failed = |source| QueueError::Unavailable {
            context: format!("cannot make the folder of {path}"),
            source: Box::new(source),
        };
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let failed = |source| unavailable(path, Arc::new(source));
    let mut connection = connect_writer(path).map_err(failed)?;
    refuse_newer(path, schema_version(&connection).map_err(failed)?)?;
    migrate(&mut connection).map_err(failed)?;
    connection.execute(RELEASE_LEASES, []).map_err(failed)?;
    Ok(connection)
}

fn connect_writer(path: &Utf8Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Syncs the log at every commit: what was acknowledged survives a loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // One bulk upload doesn't leave a huge log behind.
    connection.pragma_update(None, "journal_size_limit", 32 << 20)?;
    Ok(connection)
}

/// A connection that only reads. It never waits for the writer, nor the writer for it.
pub(super) fn open_reader(path: &Utf8Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Utf8Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, so SQLite's own mutex would only cost.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn schema_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = schema_version(&transaction)?;
    for (after, sql) in (1..).zip(MIGRATIONS).filter(|(after, _)| *after > version) {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", after)?;
    }
    transaction.commit()
}

fn refuse_newer(path: &Utf8Path, version: u32) -> Result<(), QueueError> {
    let known = MIGRATIONS.len() as u32;
    if version <= known {
        return Ok(());
    }
    Err(QueueError::Unavailable {
        context: format!("{path} was written by a newer imagesearch; use that one"),
        source: format!("its schema has version {version}, the newest known here is {known}").into(),
    })
}

/// Says what an SQLite error means for the queue in the file at `path`, and what to do. The error is shared: it fails
/// everything that was written in one transaction.
pub(super) fn unavailable(path: &Utf8Path, source: Arc<rusqlite::Error>) -> QueueError {
    let context = match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path),
        Some(ErrorCode::DiskFull) => format!("no space left for {path}; free some"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!("{path} is locked by another program"),
        None if matches!(*source, rusqlite::Error::FromSqlConversionFailure(..)) => damaged(path),
        _ => format!("{path} cannot be read or written"),
    };
    QueueError::Unavailable { context, source: Box::new(source) }
}

fn damaged(path: &Utf8Path) -> String {
    format!("{path} is damaged; move it away, then rebuild the task states with `imagesearch reindex`")
}
