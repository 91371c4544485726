//! Who may work on which job: leasing, heartbeats and the ways a lease ends. A lease is a random token in the row;
//! whoever shows another one, or shows it after the job went back, has lost it.

use std::{mem, time::Duration};

use rusqlite::{ToSql, params};
use shared::{ImageId, Job, ModelFingerprint, TaskFailure, TaskStatus};

use super::{
    statements,
    tasks::{from_row, required, to_json},
    writer::{Applied, Batch, DetachedWriter},
};
use crate::queue::{Lease, Outcome, QueueError};

/// What a lease request asks for.
pub(super) struct Request {
    pub(super) model: ModelFingerprint,
    pub(super) max: usize,
    pub(super) duration: Duration,
}

/// Leased jobs on their way to a worker. When nobody takes them, because the future that asked was dropped, they go back.
pub(super) struct Offer {
    leases: Vec<Lease>,
    /// Until a job may be there that isn't now: a delayed one, or one whose lease runs out.
    pub(super) next_due: Option<Duration>,
    writer: DetachedWriter,
}

impl Offer {
    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    pub(super) fn accept(mut self) -> Vec<Lease> {
        mem::take(&mut self.leases)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let leases = mem::take(&mut self.leases);
        self.writer.write(move |batch| {
            for lease in &leases {
                // Refused only when the lease is over already.
                let _ = hand_back(batch, lease)?;
            }
            Ok(Ok(()))
        });
    }
}

/// Leases the oldest jobs that are ready.
pub(super) fn take(batch: &mut Batch<'_>, request: &Request, writer: DetachedWriter) -> Applied<Offer> {
    let now_us = batch.now_us;
    batch.change(statements::EXPIRE, [now_us])?;
    batch.connection.prepare_cached(statements::PROMOTE)?.execute([now_us])?;

    let mut leased = Vec::new();
    {
        let mut statement = batch.connection.prepare_cached(statements::LEASE)?;
        let max = i64::try_from(request.max).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![after(now_us, request.duration), now_us, request.model.0, max])?;
        while let Some(row) = rows.next()? {
            let job: Job = required(row, "job")?;
            let lease = Lease { job, attempt: row.get("attempts")?, token: row.get("token")? };
            leased.push((row.get::<_, i64>("seq")?, lease, from_row(row)?));
        }
    }
    // `RETURNING` promises no order.
    leased.sort_unstable_by_key(|(seq, ..)| *seq);
    let mut leases = Vec::with_capacity(leased.len());
    for (_, lease, task) in leased {
        leases.push(lease);
        batch.changed(task);
    }
    if !leases.is_empty() {
        // Those who wait learn when these leases run out.
        batch.wakes();
    }
    Ok(Ok(Offer { leases, next_due: next_due(batch)?, writer }))
}

fn next_due(batch: &Batch<'_>) -> rusqlite::Result<Option<Duration>> {
    let due_us: Option<i64> = batch.connection.prepare_cached(statements::NEXT_DUE)?.query_row([], |row| row.get(0))?;
    Ok(due_us.map(|due_us| Duration::from_micros(due_us.saturating_sub(batch.now_us).max(0) as u64)))
}

pub(super) fn extend(batch: &mut Batch<'_>, lease: &Lease, duration: Duration) -> Applied<()> {
    let due_us = after(batch.now_us, duration);
    let changed = batch.connection.prepare_cached(statements::EXTEND)?.execute(params![
        lease.job.task_id.0.as_bytes(),
        lease.token,
        due_us
    ])?;
    batch.wakes();
    Ok(held(lease, changed))
}

pub(super) fn set_image_id(batch: &mut Batch<'_>, lease: &Lease, image_id: ImageId) -> Applied<()> {
    let now_us = batch.now_us;
    change(batch, statements::SET_IMAGE, lease, &[image_id.digest(), &now_us])
}

/// Back in the queue, to be delivered after `delay`.
pub(super) fn retry(batch: &mut Batch<'_>, lease: &Lease, delay: Duration, reason: &TaskFailure) -> Applied<()> {
    let now_us = batch.now_us;
    let due_us = (!delay.is_zero()).then(|| after(now_us, delay));
    batch.wakes();
    change(batch, statements::RETRY, lease, &[&due_us, &to_json(reason)?, &now_us])
}

/// Back in the queue as if it had not been taken.
pub(super) fn hand_back(batch: &mut Batch<'_>, lease: &Lease) -> Applied<()> {
    let now_us = batch.now_us;
    batch.wakes();
    change(batch, statements::HAND_BACK, lease, &[&now_us])
}

pub(super) fn finish(batch: &mut Batch<'_>, lease: &Lease, outcome: &Outcome) -> Applied<()> {
    let (status, result, error) = match outcome {
        Outcome::Indexed(result) => (TaskStatus::Indexed, Some(result), None),
        Outcome::Duplicate(result) => (TaskStatus::Duplicate, Some(result), None),
        Outcome::Superseded => (TaskStatus::Superseded, None, None),
        Outcome::Failed(failure) => (TaskStatus::Failed, None, Some(failure)),
    };
    let now_us = batch.now_us;
    let image_id = result.map(|result| *result.image_id.digest());
    let result = result.map(to_json).transpose()?;
    let error = error.map(to_json).transpose()?;
    batch.ended();
    change(batch, statements::FINISH, lease, &[&status.as_str(), &image_id, &result, &error, &now_us])
}

/// Changes the row of a leased job: `statement` takes its task id, the token, then `values`.
fn change(batch: &mut Batch<'_>, statement: &str, lease: &Lease, values: &[&dyn ToSql]) -> Applied<()> {
    let task_id = lease.job.task_id.0.as_bytes();
    let mut all: Vec<&dyn ToSql> = vec![task_id, &lease.token];
    all.extend(values);
    let changed = batch.change(statement, all.as_slice())?;
    Ok(held(lease, changed))
}

fn held(lease: &Lease, changed: usize) -> Result<(), QueueError> {
    if changed == 0 { Err(QueueError::LeaseLost(lease.job.task_id)) } else { Ok(()) }
}

fn after(now_us: i64, duration: Duration) -> i64 {
    now_us.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}
