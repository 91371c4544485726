//! A real queue that never answers who hands a job back: as one on a server that is gone, in the middle of a drain.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backends::queue::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery};
use futures::stream::BoxStream;
use shared::{ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskStatus};

pub(crate) struct Silent {
    inner: Arc<dyn JobQueue>,
    asked: AtomicUsize,
}

impl Silent {
    pub(crate) fn new(inner: Arc<dyn JobQueue>) -> Self {
        Self { inner, asked: AtomicUsize::new(0) }
    }

    /// How often a job was handed back.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl JobQueue for Silent {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn hand_back(&self, _lease: &Lease) -> Result<(), QueueError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        pending().await
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
        self.inner.lease(model, max, lease, wait).await
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

    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        self.inner.set_image_id(lease, image_id).await
    }

    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError> {
        self.inner.task(task_id).await
    }

    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        self.inner.live_task(image_id, model).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError> {
        self.inner.tasks(query).await
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        self.inner.counts().await
    }

    fn changes(&self) -> BoxStream<'static, Task> {
        self.inner.changes()
    }

    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        self.inner.depth().await
    }

    async fn clear(&self) -> Result<(), QueueError> {
        self.inner.clear().await
    }

    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        self.inner.adopt(model).await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        self.inner.ready().await
    }
}
