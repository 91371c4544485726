//! What every queue must do, as tests against the port. An adapter runs them all with one line:
//! `conformance!(open)`, where `open` gives a fresh, empty queue with the limits asked for.

#![allow(clippy::unwrap_used)]

pub(crate) mod delivery;
pub(crate) mod lists;

use std::{
    any::Any,
    future::{Ready, ready},
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use shared::{
    FailureCode, ImageId, Job, JobSource, Metadata, ModelFingerprint, Task, TaskFailure, TaskId, TaskResult,
    TaskStatus, Version,
};

use super::{JobQueue, Lease, Outcome};

/// Longer than any test runs: such a lease or delay never ends in it.
pub(crate) const LONG: Duration = Duration::from_mins(10);
/// A lease or delay whose end a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// The bound of every wait for something that will come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_jobs: u64,
    pub(crate) keep_tasks: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_jobs: 1000, keep_tasks: 1000 }
    }
}

/// A queue under test, and whatever must live as long as it.
pub(crate) struct Opened {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) _kept: Box<dyn Any + Send>,
}

impl Deref for Opened {
    type Target = dyn JobQueue;

    fn deref(&self) -> &Self::Target {
        &*self.queue
    }
}

/// So that `open` may be asynchronous or not.
impl IntoFuture for Opened {
    type Output = Self;
    type IntoFuture = Ready<Self>;

    fn into_future(self) -> Ready<Self> {
        ready(self)
    }
}

/// Makes a test of each behaviour, named after it.
macro_rules! conformance {
    ($open:path) => {
        conformance!($open, delivery: [
            a_job_goes_from_queued_over_processing_to_indexed,
            jobs_are_leased_oldest_first_and_once,
            an_expired_lease_is_redelivered_once,
            an_old_token_has_lost_the_lease,
            a_heartbeat_keeps_the_lease,
            a_lease_request_waits_for_the_first_job,
            a_lease_request_ends_empty_when_nothing_comes,
            a_cancelled_lease_request_takes_no_job_with_it,
            a_delayed_retry_waits_and_counts_as_an_attempt,
            a_job_handed_back_is_ready_at_once_and_does_not_count,
            a_failed_job_is_kept_with_its_reason_and_not_delivered,
            a_full_queue_refuses_all_and_drops_nothing,
            a_task_id_is_delivered_once_however_often_it_is_enqueued,
            models_do_not_take_each_others_jobs,
            ten_jobs_with_a_short_lease_are_done_once_by_two_workers,
            a_transient_fault_of_the_index_loses_no_job,
            concurrent_enqueues_are_all_kept,
        ]);
        conformance!($open, lists: [
            a_task_of_an_image_is_live_until_it_ends,
            a_url_job_learns_its_image,
            tasks_are_listed_newest_first_by_page,
            tasks_are_listed_by_status,
            a_foreign_cursor_is_refused,
            counts_and_depth_follow_the_jobs,
            changes_are_streamed_in_order,
            a_slow_reader_loses_the_oldest_changes_only,
            ended_tasks_are_kept_up_to_a_number,
            a_cleared_queue_is_empty_and_takes_jobs,
            a_cleared_queue_keeps_the_urls_that_are_not_fetched,
            a_model_that_adopts_the_jobs_of_others_gets_them,
            a_queue_that_takes_jobs_is_ready,
        ]);
    };
    ($open:path, $module:ident: [$($behaviour:ident),* $(,)?]) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                $crate::queue::conformance::$module::$behaviour(async |limits| $open(limits).await).await;
            }
        )*
    };
}
pub(crate) use conformance;

pub(crate) fn model() -> ModelFingerprint {
    ModelFingerprint("0123456789abcdef".into())
}

pub(crate) fn image(number: u64) -> ImageId {
    ImageId::of(&number.to_be_bytes())
}

/// A job for the stored image of this number.
pub(crate) fn stored(number: u64) -> Job {
    job(JobSource::Stored { image_id: image(number), version: Version::after(None) }, format!("{number}.jpg"))
}

pub(crate) fn from_url(url: &str) -> Job {
    job(JobSource::Url { url: url.parse().expect("a URL"), metadata: Metadata::default() }, url.into())
}

fn job(source: JobSource, name: String) -> Job {
    Job {
        task_id: TaskId::new(),
        model: model(),
        source,
        name: Some(name),
        created: Timestamp::now(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

pub(crate) fn indexed(number: u64) -> Outcome {
    Outcome::Indexed(result(number))
}

pub(crate) fn result(number: u64) -> TaskResult {
    TaskResult { image_id: image(number), url: format!("/images/{}", image(number)) }
}

pub(crate) fn failure(code: FailureCode) -> TaskFailure {
    TaskFailure { code, detail: format!("made by a test: {code:?}") }
}

/// The next job, whatever it takes.
pub(crate) async fn lease_one(queue: &dyn JobQueue, duration: Duration) -> Lease {
    let mut leases = queue.lease(&model(), 1, duration, PATIENCE).await.expect("leases");
    assert_eq!(leases.len(), 1, "one job comes before the wait ends");
    leases.remove(0)
}

/// So many jobs, and no more of them: a queue elsewhere may deliver a moment after it took them.
pub(crate) async fn lease_all(queue: &dyn JobQueue, jobs: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    while leases.len() < jobs {
        let more = queue.lease(&model(), 1000, LONG, PATIENCE).await.expect("leases");
        assert!(!more.is_empty(), "only {} of {jobs} jobs come", leases.len());
        leases.extend(more);
    }
    assert_eq!(leases.len(), jobs);
    assert!(lease_ready(queue).await.is_empty(), "there are more than {jobs} jobs");
    leases
}

/// What is ready now.
pub(crate) async fn lease_ready(queue: &dyn JobQueue) -> Vec<Lease> {
    queue.lease(&model(), 1000, LONG, Duration::ZERO).await.expect("leases")
}

pub(crate) async fn task_of(queue: &dyn JobQueue, job: &Job) -> Task {
    queue.task(job.task_id).await.expect("a lookup").expect("a task")
}

pub(crate) async fn count(queue: &dyn JobQueue, status: TaskStatus) -> u64 {
    let counts = queue.counts().await.expect("counts");
    counts.into_iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| count)
}
