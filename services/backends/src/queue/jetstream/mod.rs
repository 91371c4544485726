//! The distributed queue: NATS JetStream, used by any number of processes. Jobs are messages of a work-queue stream, one
//! subject and one durable pull consumer a model; task states are keys of a bucket; lists are answered from a projection
//! of the bucket in memory.
//!
//! The stream knows which jobs wait and who has them until when. The bucket knows what became of a task, how often it was
//! begun, and which delivery holds it: it decides, by compare-and-swap, whenever the two disagree.

mod connection;
mod consumer;
mod fills;
mod jobs;
mod lease;
mod messages;
mod projection;
mod pull;
mod rebuild;
#[cfg(test)]
mod server;
mod states;
mod streams;
#[cfg(test)]
mod tests;
mod watch;

use std::{str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, future::try_join_all, stream::BoxStream};
use jiff::Timestamp;
use shared::{
    ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskStatus, config::Jetstream, model::FillProgress,
};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::BroadcastStream;

use self::{
    connection::{Connection, unavailable},
    consumer::Consumers,
    projection::{Projection, Retention, Shown},
    states::{State, States},
    streams::Names,
    watch::Watcher,
};
use super::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery};

/// Longest page of a list.
const MAX_PAGE: usize = 1000;

/// Jobs and tasks on a NATS server.
pub struct JetstreamQueue {
    inner: Arc<Inner>,
    watcher: JoinHandle<()>,
}

/// What requests that outlive their caller need too.
struct Inner {
    connection: Connection,
    consumers: Consumers,
    names: Names,
    projection: Arc<Projection>,
    states: States,
    /// Of what the streams are made.
    config: Jetstream,
}

impl JetstreamQueue {
    /// Connects, and makes the streams that are not there or are smaller than configured. The task states are read in the
    /// background; calls that need all of them wait for that.
    ///
    /// # Errors
    /// `Unavailable` when the servers can't be reached in time, or a stream is there that can't be used as configured.
    pub async fn open(config: &Jetstream) -> Result<Self, QueueError> {
        let names = Names::new(&config.name)?;
        let connection = Connection::open(config).await?;
        streams::ensure(&connection, &names, config).await?;
        let age = Duration::from_secs(config.keep_tasks_for_s);
        let projection = Arc::new(Projection::new(Retention { tasks: config.keep_tasks, age }));
        let states = States::new(connection.clone(), names.clone(), projection.clone());
        let watcher = Watcher {
            connection: connection.clone(),
            names: names.clone(),
            projection: projection.clone(),
            states: states.clone(),
        };
        let watcher = tokio::spawn(watcher.run());
        let consumers = Consumers::new(connection.clone(), names.clone());
        let inner = Inner { connection, consumers, names, projection, states, config: config.clone() };
        Ok(Self { inner: Arc::new(inner), watcher })
    }

    /// The whole of a task, also where the projection keeps less.
    async fn whole(&self, shown: Shown) -> Result<Task, QueueError> {
        if !shown.cut {
            return Ok(shown.task);
        }
        let found = self.inner.states.get(shown.task.task_id).await?;
        // Gone meanwhile: what was known of it is as good.
        Ok(found.map_or(shown.task, |(state, _)| state.task()))
    }
}

impl Drop for JetstreamQueue {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[async_trait]
impl JobQueue for JetstreamQueue {
    fn system(&self) -> &'static str {
        "nats"
    }

    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        self.inner.enqueue(jobs).await
    }

    async fn lease(
        &self,
        model: &ModelFingerprint,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError> {
        lease::lease(&self.inner, lease::Request { model: model.clone(), max, duration: lease, wait }).await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError> {
        self.inner.extend(lease, duration).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError> {
        self.inner.finish(lease, outcome).await
    }

    async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError> {
        self.inner.retry(lease, delay, reason).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        self.inner.hand_back(lease).await
    }

    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        self.inner.set_image_id(lease, image_id).await
    }

    /// As the server has it: what another process wrote a moment ago is there.
    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError> {
        Ok(self.inner.states.get(task_id).await?.map(|(state, _): (State, u64)| state.task()))
    }

    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        self.inner.built().await?;
        match self.inner.projection.live(image_id, model) {
            Some(shown) => self.whole(shown).await.map(Some),
            None => Ok(None),
        }
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError> {
        let before = query.cursor.as_deref().map(TaskId::from_str).transpose().map_err(|_| QueueError::Cursor)?;
        self.inner.built().await?;
        let limit = query.limit.clamp(1, MAX_PAGE);
        // One more than asked tells whether there is another page.
        let mut shown = self.inner.projection.list(query.status, before, limit + 1);
        let more = shown.len() > limit;
        shown.truncate(limit);
        let next_cursor = shown.last().filter(|_| more).map(|last| last.task.task_id.0.to_string());
        let tasks = try_join_all(shown.into_iter().map(|shown| self.whole(shown))).await?;
        Ok(TaskPage { tasks, next_cursor })
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        self.inner.built().await?;
        Ok(self.inner.projection.counts())
    }

    /// From another process, a change that was overtaken by the next one of the same task may be left out.
    fn changes(&self) -> BoxStream<'static, Task> {
        // An error says how many were lost to slowness; the stream goes on with the oldest that is kept.
        BroadcastStream::new(self.inner.projection.changes()).filter_map(async |change| change.ok()).boxed()
    }

    /// All jobs that are in the stream, of all models; those that are being worked on by the task states.
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        self.inner.built().await?;
        let jobs = streams::info(&self.inner.connection, self.inner.names.jobs()).await?.state.messages;
        let processing = |(status, count)| (status == TaskStatus::Processing).then_some(count);
        let in_flight = self.inner.projection.counts().into_iter().find_map(processing).unwrap_or_default().min(jobs);
        let queued = jobs - in_flight;
        let age = |created| Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default();
        let oldest = self.inner.projection.oldest_queued().filter(|_| queued > 0).map(age).unwrap_or_default();
        Ok(QueueDepth { queued, in_flight, oldest })
    }

    async fn clear(&self) -> Result<(), QueueError> {
        self.inner.clear().await
    }

    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        self.inner.adopt(model).await
    }

    async fn tell_fill(&self, progress: &FillProgress) -> Result<(), QueueError> {
        self.inner.tell_fill(progress).await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        let info = streams::info(&self.inner.connection, self.inner.names.jobs()).await?;
        if info.cluster.is_some_and(|cluster| cluster.raft_group.is_some() && cluster.leader.is_none()) {
            return Err(unavailable("cannot accept jobs", "the stream has no leader"));
        }
        self.inner.states.probe().await
    }
}
