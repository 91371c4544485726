//! Rows as tasks: accepting jobs, looking tasks up, listing and counting them, forgetting the oldest.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use rusqlite::{
    Connection, Error, OptionalExtension, Row, params,
    types::{FromSqlError, Type},
};
use serde::{Deserialize, de::DeserializeOwned};
use shared::{ImageId, Job, ModelFingerprint, Task, TaskId, TaskStatus};

use super::{
    statements,
    writer::{Applied, Batch},
};
use crate::queue::{QueueDepth, QueueError, TaskPage, TaskQuery};

/// Longest page of a list.
const MAX_PAGE: usize = 1000;

/// Accepts `jobs`, all or none; those that were accepted before are left as they are.
pub(super) fn enqueue(batch: &mut Batch<'_>, jobs: &[Job], max_jobs: u64) -> Applied<()> {
    let new = unknown(batch.connection, jobs)?;
    let alive = totals(batch.connection)?.alive;
    if !new.is_empty() && alive + new.len() as u64 > max_jobs {
        return Ok(Err(QueueError::Full { limit: max_jobs }));
    }
    for job in &new {
        let image_id = job.source.image_id().map(|image_id| *image_id.digest());
        let text = to_json(job)?;
        let now_us = batch.now_us;
        batch.change(statements::INSERT, params![job.task_id.0.as_bytes(), job.model.0, text, image_id, now_us])?;
    }
    if !new.is_empty() {
        batch.wakes();
    }
    Ok(Ok(()))
}

/// The jobs whose task id is not there, each id once.
fn unknown<'a>(connection: &Connection, jobs: &'a [Job]) -> rusqlite::Result<Vec<&'a Job>> {
    let mut accepted = connection.prepare_cached(statements::ACCEPTED)?;
    let mut seen = HashSet::new();
    let mut new = Vec::new();
    for job in jobs {
        if seen.insert(job.task_id) && !accepted.exists([job.task_id.0.as_bytes()])? {
            new.push(job);
        }
    }
    Ok(new)
}

/// Forgets the tasks that ended first, until `keep` that are over and `keep` that failed are left. They are counted
/// apart so that a long run of successes doesn't push the failures out of sight.
pub(super) fn prune(connection: &Connection, keep: u64) -> rusqlite::Result<()> {
    let totals = totals(connection)?;
    for (ended, statement) in [(totals.done, statements::PRUNE_DONE), (totals.failed, statements::PRUNE_FAILED)] {
        if ended > keep {
            connection.prepare_cached(statement)?.execute([(ended - keep) as i64])?;
        }
    }
    Ok(())
}

pub(super) fn clear(batch: &mut Batch<'_>) -> Applied<()> {
    batch.connection.prepare_cached(statements::CLEAR)?.execute([])?;
    Ok(Ok(()))
}

/// Gives the jobs of all other models to this one.
pub(super) fn adopt(batch: &mut Batch<'_>, model: &ModelFingerprint) -> Applied<()> {
    if batch.connection.prepare_cached(statements::ADOPT)?.execute([&model.0])? > 0 {
        batch.wakes();
    }
    Ok(Ok(()))
}

/// Writes something, so that a full or read-only disk is noticed.
pub(super) fn probe(batch: &mut Batch<'_>) -> Applied<()> {
    batch.connection.prepare_cached(statements::PROBE)?.execute([batch.now_us])?;
    Ok(Ok(()))
}

pub(super) fn get(connection: &Connection, task_id: TaskId) -> rusqlite::Result<Option<Task>> {
    connection.prepare_cached(statements::TASK)?.query_row([task_id.0.as_bytes()], from_row).optional()
}

pub(super) fn live(
    connection: &Connection,
    image_id: ImageId,
    model: &ModelFingerprint,
) -> rusqlite::Result<Option<Task>> {
    let mut statement = connection.prepare_cached(statements::LIVE_TASK)?;
    statement.query_row(params![image_id.digest(), model.0], from_row).optional()
}

/// The place in the list that a cursor names: the tasks after it were accepted before it.
pub(super) fn parse_cursor(cursor: Option<&str>) -> Result<i64, QueueError> {
    cursor.map_or(Ok(i64::MAX), |text| text.parse().map_err(|_| QueueError::Cursor))
}

/// A page of tasks accepted before `before`, newest first.
pub(super) fn list(connection: &Connection, query: &TaskQuery, before: i64) -> rusqlite::Result<TaskPage> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    // One more than asked tells whether there is another page.
    let fetched = limit as i64 + 1;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>("seq")?, from_row(row)?));
    let mut rows: Vec<(i64, Task)> = match query.status {
        None => connection
            .prepare_cached(statements::LIST)?
            .query_map(params![before, fetched], read)?
            .collect::<Result<_, _>>()?,
        Some(status) => connection
            .prepare_cached(statements::LIST_BY_STATUS)?
            .query_map(params![before, fetched, status.as_str()], read)?
            .collect::<Result<_, _>>()?,
    };
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(seq, _)| seq.to_string());
    Ok(TaskPage { tasks: rows.into_iter().map(|(_, task)| task).collect(), next_cursor })
}

/// How many tasks have each status, in the order of [`TaskStatus::ALL`].
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Vec<(TaskStatus, u64)>> {
    let mut statement = connection.prepare_cached(statements::COUNTS)?;
    let found: Vec<(TaskStatus, u64)> = statement
        .query_map([], |row| Ok((status(row, "status")?, row.get::<_, i64>("tasks")? as u64)))?
        .collect::<Result<_, _>>()?;
    let count = |status| found.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count);
    Ok(TaskStatus::ALL.into_iter().map(|status| (status, count(status))).collect())
}

pub(super) fn depth(connection: &Connection) -> rusqlite::Result<QueueDepth> {
    // One transaction, so that the three numbers are of one moment.
    let transaction = connection.unchecked_transaction()?;
    let counts = counts(&transaction)?;
    let count = |status| counts.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count);
    let oldest = transaction.prepare_cached(statements::OLDEST_QUEUED)?.query_row([], from_row).optional()?;
    let age = |task: Task| Duration::try_from(Timestamp::now().duration_since(task.created)).unwrap_or_default();
    Ok(QueueDepth {
        queued: count(TaskStatus::Queued),
        in_flight: count(TaskStatus::Processing),
        oldest: oldest.map(age).unwrap_or_default(),
    })
}

struct Totals {
    alive: u64,
    done: u64,
    failed: u64,
}

fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(|count| count as u64);
    connection
        .prepare_cached(statements::TOTALS)?
        .query_row([], |row| Ok(Totals { alive: number(row, 0)?, done: number(row, 1)?, failed: number(row, 2)? }))
}

/// The part of a job that its task shows.
#[derive(Deserialize)]
struct Described {
    task_id: TaskId,
    name: Option<String>,
    created: Timestamp,
}

/// Reads the columns named in `statements`.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Task> {
    let job: Described = required(row, "job")?;
    let updated_us = row.get("updated_us")?;
    Ok(Task {
        task_id: job.task_id,
        status: status(row, "status")?,
        name: job.name,
        image_id: row.get::<_, Option<[u8; 32]>>("image_id")?.map(ImageId::from_digest),
        result: json(row, "result")?,
        error: json(row, "error")?,
        attempts: row.get("attempts")?,
        created: job.created,
        updated: Timestamp::from_microsecond(updated_us).map_err(|error| unreadable(error.into()))?,
    })
}

/// Reads a column that holds JSON or nothing.
fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| serde_json::from_str(text).map_err(|error| unreadable(error.into()))).transpose()
}

/// Reads a column that always holds JSON.
pub(super) fn required<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    json(row, column)?.ok_or_else(|| unreadable(format!("column {column} is empty").into()))
}

/// The text of a value for a column that holds JSON.
pub(super) fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

fn status(row: &Row<'_>, column: &str) -> rusqlite::Result<TaskStatus> {
    let text = row.get_ref(column)?.as_str()?;
    let known = TaskStatus::ALL.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| FromSqlError::Other(format!("{text:?} is not a task status").into()).into())
}

/// A row that doesn't hold what was written to it.
fn unreadable(reason: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::FromSqlConversionFailure(0, Type::Text, reason)
}
