//! What a worker does, as a trace tells it: each job goes on with the trace that made it, and what is done for many jobs at
//! once is a trace of its own that links to each of them, and they to it.

use backends::queue::Lease;
use shared::telemetry::{TRACE, continue_from, link};
use tracing::{Span, field::Empty};

/// From the moment a job is held to its end; `system` is what conventions call the queue.
pub(crate) fn of_job(lease: &Lease, system: &'static str) -> Span {
    let job = &lease.job;
    let span = tracing::info_span!(
        target: TRACE,
        parent: None,
        "process jobs",
        otel.kind = "consumer",
        otel.status_code = Empty,
        "error.type" = Empty,
        messaging.system = system,
        messaging.destination.name = "jobs",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.message.id = %job.task_id.0,
        imagesearch.task_id = %job.task_id.0,
        imagesearch.image_id = Empty,
        imagesearch.model = job.model.0,
        imagesearch.attempt = i64::from(lease.attempt),
        imagesearch.outcome = Empty,
    );
    continue_from(&span, job.traceparent.as_deref());
    if let Some(image_id) = job.source.image_id() {
        span.record("imagesearch.image_id", tracing::field::display(image_id));
    }
    span
}

/// One step for many jobs.
pub(crate) struct Batch {
    /// The step.
    pub(crate) whole: Span,
    /// In the trace of each job, in their order, as long as the step takes.
    pub(crate) parts: Vec<Span>,
}

impl Batch {
    /// `step` in the traces of `jobs`.
    pub(crate) fn new<'a>(step: &'static str, jobs: impl ExactSizeIterator<Item = &'a Span>) -> Self {
        let whole = tracing::info_span!(
            target: TRACE,
            parent: None,
            "batch",
            otel.name = format!("{step} batch"),
            imagesearch.batch_size = jobs.len() as i64,
        );
        let part = |job: &Span| tracing::info_span!(target: TRACE, parent: job, "part", otel.name = step);
        let parts: Vec<Span> = jobs.map(part).collect();
        // Before the whole is asked for its own context: it is kept if something that it links to is.
        for part in &parts {
            link(&whole, part);
        }
        for part in &parts {
            link(part, &whole);
        }
        Self { whole, parts }
    }
}
