//! The queue: <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>. A job carries the context of the span
//! that published it, whatever the queue keeps it in, and each delivery continues from there.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use shared::{
    ImageId, Job, ModelFingerprint, Task, TaskFailure, TaskId, TaskStatus,
    metrics::backend::{Backend, Operation},
    model::FillProgress,
    telemetry::{TRACE, continue_from, is_traced, traceparent},
};
use tracing::{Span, field::Empty};

use super::kind;
use crate::queue::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery};

/// What the queue is called in spans; what the jobs of a deployment are called elsewhere is its own business.
const DESTINATION: &str = "jobs";

pub(crate) struct ObservedQueue<Q> {
    queue: Q,
    is_remote: bool,
}

impl<Q: JobQueue> ObservedQueue<Q> {
    pub(crate) fn sqlite(queue: Q) -> Self {
        Self { queue, is_remote: false }
    }

    pub(crate) fn jetstream(queue: Q) -> Self {
        Self { queue, is_remote: true }
    }

    /// About one task, when `task_id` says which.
    fn span(&self, operation: &'static str, operation_type: Option<&'static str>, task_id: Option<TaskId>) -> Span {
        if is_traced() { self.new_span(operation, operation_type, task_id, kind(self.is_remote)) } else { Span::none() }
    }

    fn new_span(
        &self,
        operation: &'static str,
        operation_type: Option<&'static str>,
        task_id: Option<TaskId>,
        kind: &'static str,
    ) -> Span {
        tracing::info_span!(
            target: TRACE,
            "queue",
            otel.name = format!("{operation} {DESTINATION}"),
            otel.kind = kind,
            otel.status_code = Empty,
            "error.type" = Empty,
            messaging.system = self.queue.system(),
            messaging.destination.name = DESTINATION,
            messaging.operation.name = operation,
            "messaging.operation.type" = operation_type,
            messaging.message.id = task_id.map(|task_id| task_id.0.to_string()),
            messaging.batch.message_count = Empty,
            imagesearch.waited_ms = Empty,
        )
    }

    /// A job came. What is done with it is a span of its own, made by whoever does it.
    fn received(&self, job: &Job) {
        if job.traceparent.is_some() {
            let span = self.new_span("receive", Some("receive"), Some(job.task_id), kind(self.is_remote));
            continue_from(&span, job.traceparent.as_deref());
            let waited = Timestamp::now().duration_since(job.created);
            span.record("imagesearch.waited_ms", waited.as_millis() as i64);
        }
    }
}

async fn observe<T>(
    operation: Operation,
    span: Span,
    call: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    super::observe(Backend::Queue, operation, span, call).await
}

#[async_trait]
impl<Q: JobQueue> JobQueue for ObservedQueue<Q> {
    fn system(&self) -> &'static str {
        self.queue.system()
    }

    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        if !is_traced() {
            return observe(Operation::Enqueue, Span::none(), self.queue.enqueue(jobs)).await;
        }
        let one = <&[Job; 1]>::try_from(jobs).ok().map(|[job]| job.task_id);
        let span = self.new_span("publish", Some("send"), one, "producer");
        if jobs.len() > 1 {
            span.record("messaging.batch.message_count", jobs.len() as i64);
        }
        let published = async {
            let context = traceparent();
            let jobs: Vec<Job> = jobs.iter().map(|job| Job { traceparent: context.clone(), ..job.clone() }).collect();
            self.queue.enqueue(&jobs).await
        };
        observe(Operation::Enqueue, span, published).await
    }

    async fn lease(
        &self,
        model: &ModelFingerprint,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError> {
        let call = self.queue.lease(model, max, lease, wait);
        let leases = observe(Operation::Lease, Span::none(), call).await?;
        for lease in &leases {
            self.received(&lease.job);
        }
        Ok(leases)
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError> {
        observe(Operation::Extend, Span::none(), self.queue.extend(lease, duration)).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError> {
        let span = self.span("ack", Some("settle"), Some(lease.job.task_id));
        observe(Operation::Finish, span, self.queue.finish(lease, outcome)).await
    }

    async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError> {
        let span = self.span("nack", Some("settle"), Some(lease.job.task_id));
        observe(Operation::Retry, span, self.queue.retry(lease, delay, reason)).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        let span = self.span("nack", Some("settle"), Some(lease.job.task_id));
        observe(Operation::HandBack, span, self.queue.hand_back(lease)).await
    }

    async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        let span = self.span("set_image_id", None, Some(lease.job.task_id));
        observe(Operation::SetImageId, span, self.queue.set_image_id(lease, image_id)).await
    }

    async fn task(&self, task_id: TaskId) -> Result<Option<Task>, QueueError> {
        observe(Operation::Task, self.span("get_task", None, Some(task_id)), self.queue.task(task_id)).await
    }

    async fn live_task(&self, image_id: ImageId, model: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        observe(Operation::LiveTask, self.span("find_task", None, None), self.queue.live_task(image_id, model)).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<TaskPage, QueueError> {
        observe(Operation::Tasks, self.span("list_tasks", None, None), self.queue.tasks(query)).await
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        observe(Operation::Counts, self.span("count_tasks", None, None), self.queue.counts()).await
    }

    /// Has no end and no faults, so there is nothing to measure.
    fn changes(&self) -> BoxStream<'static, Task> {
        self.queue.changes()
    }

    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        observe(Operation::Depth, Span::none(), self.queue.depth()).await
    }

    async fn clear(&self) -> Result<(), QueueError> {
        observe(Operation::Clear, Span::none(), self.queue.clear()).await
    }

    async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        observe(Operation::Adopt, Span::none(), self.queue.adopt(model)).await
    }

    /// Nobody waits for it.
    async fn tell_fill(&self, progress: &FillProgress) -> Result<(), QueueError> {
        self.queue.tell_fill(progress).await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        observe(Operation::Ready, Span::none(), self.queue.ready()).await
    }
}
