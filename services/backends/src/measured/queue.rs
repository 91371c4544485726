//! The queue, measured.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use shared::{
    ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskStatus,
    metrics::backend::{self, Backend, Operation},
};

use super::Measured;
use crate::queue::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery};

async fn measure<T>(
    operation: Operation,
    answer: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    backend::call(Backend::Queue, operation, answer).await
}

#[async_trait]
impl<Q: JobQueue> JobQueue for Measured<Q> {
    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        measure(Operation::Enqueue, self.0.enqueue(jobs)).await
    }

    async fn lease(
        &self,
        model: &ModelFingerprint,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError> {
        measure(Operation::Lease, self.0.lease(model, max, lease, wait)).await
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError> {
        measure(Operation::Extend, self.0.extend(lease, duration)).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError> {
        measure(Operation::Finish, self.0.finish(lease, outcome)).await
    }

    async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError> {
        measure(Operation::Retry, self.0.retry(lease, delay, reason)).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        measure(Operation::HandBack, self.0.hand_back(lease)).await
    }

    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        measure(Operation::SetImageId, self.0.set_image_id(lease, image_id)).await
    }

    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError> {
        measure(Operation::Task, self.0.task(task_id)).await
    }

    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        measure(Operation::LiveTask, self.0.live_task(image_id, model)).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError> {
        measure(Operation::Tasks, self.0.tasks(query)).await
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        measure(Operation::Counts, self.0.counts()).await
    }

    /// Has no end and no faults, so there is nothing to measure.
    fn changes(&self) -> BoxStream<'static, Task> {
        self.0.changes()
    }

    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        measure(Operation::Depth, self.0.depth()).await
    }

    async fn clear(&self) -> Result<(), QueueError> {
        measure(Operation::Clear, self.0.clear()).await
    }

    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        measure(Operation::Adopt, self.0.adopt(model)).await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        measure(Operation::Ready, self.0.ready()).await
    }
}
