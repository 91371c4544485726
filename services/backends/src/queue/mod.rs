//! Durable hand-over of ingest jobs: at-least-once, leased, retried, dead-lettered; and the task states users see of them.

#[cfg(test)]
mod conformance;
mod jetstream;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use shared::{ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskResult, TaskStatus, model::FillProgress};

pub use self::{jetstream::JetstreamQueue, sqlite::SqliteQueue};

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Nothing was accepted and nothing dropped.
    #[error("the queue holds its limit of {limit} jobs; try again later")]
    Full { limit: u64 },
    /// The lease ran out and the job is another worker's now, or over.
    #[error("the lease of task {0} is lost")]
    LeaseLost(TaskId),
    #[error("the cursor is not one of this list")]
    Cursor,
    /// Worth another try: the store is away, slow or refusing for now.
    #[error("queue is not available: {context}")]
    Unavailable {
        context: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The right to work on a job until the lease expires. Extend it by heartbeat, end it by one of the outcomes.
#[derive(Debug, Clone)]
pub struct Lease {
    pub job: Job,
    /// Deliveries so far, this one included.
    pub attempt: u32,
    /// Opaque to the worker: proves which delivery this is.
    pub token: String,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Indexed(TaskResult),
    Duplicate(TaskResult),
    Superseded,
    /// Kept in the dead letters with its reason.
    Failed(TaskFailure),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub queued: u64,
    pub in_flight: u64,
    /// Age of the oldest job that waits; zero when none does.
    pub oldest: Duration,
}

#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    pub status: Option<TaskStatus>,
    /// From a page before; opaque.
    pub cursor: Option<String>,
    /// 1 to 1000.
    pub limit: usize,
}

#[derive(Debug, Clone, Default)]
pub struct TaskPage {
    /// Newest first.
    pub tasks: Vec<Task>,
    pub next_cursor: Option<String>,
}

#[async_trait]
pub trait JobQueue: Send + Sync {
    /// What OpenTelemetry's conventions call a queue of this kind.
    fn system(&self) -> &'static str;

    /// Accepts jobs, all or none. Once this returns, they survive a crash of everything but the store.
    /// A job whose task id was accepted before is accepted again without a second delivery.
    ///
    /// # Errors
    /// `Full` when they don't all fit.
    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError>;

    /// Leases up to `max` jobs of one model for `lease`, oldest first; waits at most `wait` for the first.
    async fn lease(
        &self,
        model: &ModelFingerprint,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError>;

    /// Heartbeat: the lease ends `lease` from now.
    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError>;

    /// Ends a job.
    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError>;

    /// Gives a job back after a transient fault, to be delivered again after `delay`. `reason` shows in its task.
    async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError>;

    /// Gives back a job that was not begun (a drain): delivered again at once, and the attempt doesn't count.
    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError>;

    /// A URL job learns which image it fetched.
    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError>;

    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError>;

    /// The task of this image that is alive, if any.
    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError>;

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError>;

    /// How many tasks have each status.
    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError>;

    /// Every change of a task from now on. A slow reader loses the oldest changes, never the order.
    fn changes(&self) -> BoxStream<'static, Task>;

    async fn depth(&self) -> Result<QueueDepth, QueueError>;

    /// Forgets every job and task, the first step of a rebuild, but for the URLs that are not fetched yet: nothing else
    /// knows of those.
    async fn clear(&self) -> Result<(), QueueError>;

    /// Gives the jobs of all other models to this one: for a deployment whose model was changed, so that what was accepted
    /// before is done. Nobody works for the other models any more.
    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError>;

    /// Tells whoever runs the processes how far a collection is; only the newest is kept. Nobody runs those of an embedded
    /// queue.
    async fn tell_fill(&self, _progress: &FillProgress) -> Result<(), QueueError> {
        Ok(())
    }

    /// Answers when jobs can be accepted.
    async fn ready(&self) -> Result<(), QueueError>;
}
