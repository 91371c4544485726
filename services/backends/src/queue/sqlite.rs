//! The embedded queue: one SQLite file in WAL mode, used by one process; one thread writes, a few connections read.
//! A row is a job and its task. What was acknowledged is synced to disk.

mod lease;
#[cfg(test)]
mod model_test;
mod readers;
mod schema;
mod statements;
mod tasks;
#[cfg(test)]
mod tests;
mod writer;

use std::{pin::pin, time::Duration};

use async_trait::async_trait;
use camino::Utf8Path;
use futures::{StreamExt, stream::BoxStream};
use shared::{ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskStatus};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::BroadcastStream;

use self::{lease::Request, readers::Readers, writer::Writer};
use super::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery};

/// The longest that a request for a lease waits.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Jobs and tasks in one SQLite file. Dropping it writes what was asked for, then closes the file.
pub struct SqliteQueue {
    // Closed before the writer, which as the last one moves the log into the file.
    readers: Readers,
    writer: Writer,
    max_jobs: u64,
}

impl SqliteQueue {
    /// Opens the file at `path`, made when absent. Jobs that were leased when it was last used are ready again, so the
    /// caller makes sure that nobody else uses it (by `lock::FolderLock`).
    ///
    /// `max_jobs` bounds the jobs that are not over; `keep_tasks` those kept that are over, and those that failed.
    ///
    /// # Errors
    /// `Unavailable` when the file is damaged, from a newer version, or can't be written.
    pub fn open(path: &Utf8Path, max_jobs: u64, keep_tasks: u64) -> Result<Self, QueueError> {
        let connection = schema::open_writer(path)?;
        let writer = Writer::start(path.to_owned(), connection, keep_tasks).map_err(|source| {
            QueueError::Unavailable { context: "cannot start its writer".into(), source: Box::new(source) }
        })?;
        Ok(Self { readers: Readers::new(path), writer, max_jobs })
    }
}

#[async_trait]
impl JobQueue for SqliteQueue {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        let (jobs, max_jobs) = (jobs.to_vec(), self.max_jobs);
        self.writer.write(move |batch| tasks::enqueue(batch, &jobs, max_jobs)).await
    }

    async fn lease(
        &self,
        model: &ModelFingerprint,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait.min(MAX_WAIT);
        loop {
            // Listens before it looks: what comes in between is not missed.
            let mut woken = pin!(self.writer.woken());
            woken.as_mut().enable();
            let request = Request { model: model.clone(), max, duration: lease };
            let detached = self.writer.detached();
            let offer = self.writer.write(move |batch| lease::take(batch, &request, detached)).await?;
            if !offer.is_empty() || Instant::now() >= deadline {
                return Ok(offer.accept());
            }
            let due = offer.next_due.map(|delay| Instant::now() + delay.min(MAX_WAIT));
            // Woken or not, the next look tells.
            let _ = timeout_at(due.unwrap_or(deadline).min(deadline), woken).await;
        }
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.writer.write(move |batch| lease::extend(batch, &lease, duration)).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.writer.write(move |batch| lease::finish(batch, &lease, &outcome)).await
    }

    async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.writer.write(move |batch| lease::retry(batch, &lease, delay, &reason)).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.writer.write(move |batch| lease::hand_back(batch, &lease)).await
    }

    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.writer.write(move |batch| lease::set_image_id(batch, &lease, image_id)).await
    }

    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError> {
        self.readers.read(move |connection| tasks::get(connection, task_id)).await
    }

    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        let model = model.clone();
        self.readers.read(move |connection| tasks::live(connection, image_id, &model)).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError> {
        let before = tasks::parse_cursor(query.cursor.as_deref())?;
        let query = query.clone();
        self.readers.read(move |connection| tasks::list(connection, &query, before)).await
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        self.readers.read(tasks::counts).await
    }

    fn changes(&self) -> BoxStream<'static, Task> {
        // An error says how many were lost to slowness; the stream goes on with the oldest that is kept.
        BroadcastStream::new(self.writer.changes()).filter_map(async |change| change.ok()).boxed()
    }

    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        self.readers.read(tasks::depth).await
    }

    async fn clear(&self) -> Result<(), QueueError> {
        self.writer.write(tasks::clear).await
    }

    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        let model = model.clone();
        self.writer.write(move |batch| tasks::adopt(batch, &model)).await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        self.writer.write(tasks::probe).await
    }
}
