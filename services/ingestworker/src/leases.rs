//! The jobs that this worker holds: how many may be held, and the heartbeat that keeps them its own.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backends::queue::{JobQueue, Lease, Outcome, QueueError};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use shared::{
    FailureCode, Job, TaskFailure,
    metrics::{
        ingest::{self, JobEnd},
        limit::{self, Resource, Used},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, warn};

use crate::{
    fault::{Fault, RetryPolicy, Verdict},
    spans,
    turns::{InHand, Load},
};

/// Leases extended, ended or handed back at once.
const PARALLEL_CALLS: usize = 16;
/// Of all that is handed back at the end of a drain: whoever waits for it kills what takes much longer than the drain.
const HAND_BACK_AT_MOST: Duration = Duration::from_secs(3);
/// Deliveries without an outcome weigh less than attempts that failed: most are restarts that the image has no part in.
const CRASHES_PER_ATTEMPT: u32 = 4;

/// Every lease of this worker. One task extends them all, from the fetch to the end, however long they wait inside.
pub(crate) struct Leases {
    queue: Arc<dyn JobQueue>,
    retry: RetryPolicy,
    duration: Duration,
    /// By token: a delivery that was lost and its successor may both be here.
    held: Mutex<HashMap<String, (Lease, CancellationToken)>>,
    room: Arc<Semaphore>,
    capacity: usize,
    load: Load,
}

/// The right to fetch one more job.
pub(crate) type Room = OwnedSemaphorePermit;

/// A leased job. Dropped without an end, its lease runs out and the job is delivered again.
pub(crate) struct Held {
    leases: Arc<Leases>,
    lease: Lease,
    lost: CancellationToken,
    span: Span,
    _room: Room,
    _used: Used,
    _in_hand: InHand,
}

impl Leases {
    pub(crate) fn new(
        queue: Arc<dyn JobQueue>,
        retry: RetryPolicy,
        duration: Duration,
        capacity: usize,
        load: Load,
    ) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(capacity));
        limit::add(Resource::Jobs, capacity);
        Arc::new(Self { queue, retry, duration, held: Mutex::default(), room, capacity, load })
    }

    /// Waits until at least one more job fits, and takes all the room there is.
    pub(crate) async fn room(&self) -> Vec<Room> {
        // The semaphore is never closed.
        let Ok(first) = self.room.clone().acquire_owned().await else { return Vec::new() };
        let more = std::iter::from_fn(|| self.room.clone().try_acquire_owned().ok());
        std::iter::once(first).chain(more).collect()
    }

    /// Takes charge of a lease that was just fetched.
    pub(crate) fn hold(self: &Arc<Self>, lease: Lease, room: Room) -> Held {
        let lost = CancellationToken::new();
        self.lock().insert(lease.token.clone(), (lease.clone(), lost.clone()));
        let span = spans::of_job(&lease, self.queue.system());
        let (used, in_hand) = (Used::begin(Resource::Jobs), self.load.take());
        Held { leases: self.clone(), lease, lost, span, _room: room, _used: used, _in_hand: in_hand }
    }

    /// Returns when nothing is held.
    pub(crate) async fn all_ended(&self) {
        let _ = self.room.acquire_many(self.capacity as u32).await;
    }

    /// Extends every lease thrice in its time, so that one heartbeat may fail.
    pub(crate) async fn keep_alive(&self) {
        let mut beat = tokio::time::interval(self.duration / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let held = self.snapshot();
            stream::iter(held).for_each_concurrent(PARALLEL_CALLS, |(lease, lost)| self.extend(lease, lost)).await;
        }
    }

    async fn extend(&self, lease: Lease, lost: CancellationToken) {
        match self.queue.extend(&lease, self.duration).await {
            Ok(()) => {}
            Err(QueueError::LeaseLost(task_id)) => {
                // Ended between the snapshot and now is the usual reason; otherwise somebody else works on it.
                debug!(%task_id, "lease is gone");
                lost.cancel();
            }
            Err(error) => warn!(task_id = %lease.job.task_id, %error, "cannot extend lease"),
        }
    }

    /// Gives jobs back that were held when the work on them was stopped: delivered again at once, the attempt not counted. A
    /// queue that doesn't take them in time delivers them again when their leases run out.
    pub(crate) async fn hand_back_all(&self, held: Vec<Lease>) {
        let count = held.len();
        let mut handed_back = 0;
        let answers = stream::iter(held).map(|lease| async move { self.hand_back(&lease).await });
        let mut answers = pin!(answers.buffer_unordered(PARALLEL_CALLS));
        let count_all = async {
            while let Some(is_back) = answers.next().await {
                handed_back += usize::from(is_back);
            }
        };
        let in_time = tokio::time::timeout(HAND_BACK_AT_MOST, count_all).await.is_ok();
        if handed_back < count {
            warn!(count = count - handed_back, in_time, "jobs were not handed back; their leases run out");
        }
    }

    /// False when the lease may still stand.
    async fn hand_back(&self, lease: &Lease) -> bool {
        ingest::job_ended(JobEnd::HandedBack, None);
        match self.queue.hand_back(lease).await {
            Ok(()) | Err(QueueError::LeaseLost(_)) => true,
            Err(error) => {
                debug!(task_id = %lease.job.task_id, %error, "not handed back; its lease runs out");
                false
            }
        }
    }

    pub(crate) fn held(&self) -> Vec<Lease> {
        self.lock().values().map(|(lease, _)| lease.clone()).collect()
    }

    fn snapshot(&self) -> Vec<(Lease, CancellationToken)> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Lease, CancellationToken)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        limit::remove(Resource::Jobs, self.capacity);
    }
}

impl Held {
    pub(crate) fn job(&self) -> &Job {
        &self.lease.job
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Of all that is done for the job.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Deliveries so far, this one included.
    pub(crate) fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    /// Completes when the lease is another worker's.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// The fault of a job that was delivered again and again and never came to an end: it takes its worker down.
    pub(crate) fn begun_too_often(&self) -> Option<Fault> {
        let begun_before = self.lease.attempt.saturating_sub(1);
        let too_often = self.leases.retry.max_attempts.saturating_mul(CRASHES_PER_ATTEMPT);
        let detail = || format!("gave up: {begun_before} workers stopped while they had this image");
        (begun_before >= too_often).then(|| Fault::permanent(FailureCode::RetriesExhausted, detail()))
    }

    pub(crate) async fn end(self, outcome: Outcome) {
        let span = self.span.clone();
        let end = async {
            self.report(&outcome);
            let finished = self.leases.queue.finish(&self.lease, outcome).await;
            self.settle(finished);
        };
        end.instrument(span).await;
    }

    /// The job was not to blame: delivered again, and the attempt doesn't count.
    pub(crate) async fn hand_back(self) {
        self.span.record("imagesearch.outcome", JobEnd::HandedBack.as_str());
        self.leases.hand_back(&self.lease).instrument(self.span.clone()).await;
    }

    pub(crate) async fn fail(self, fault: Fault) {
        match self.leases.retry.verdict(fault, self.lease.attempt) {
            Verdict::End(outcome) => self.end(outcome).await,
            Verdict::Leave => {}
            Verdict::Retry { delay, reason } => {
                let task_id = self.lease.job.task_id;
                warn!(%task_id, attempt = self.lease.attempt, delay_ms = delay.as_millis(), reason = reason.detail, "job will be tried again");
                self.ended(JobEnd::Retried, Some(&reason));
                let retried = self.leases.queue.retry(&self.lease, delay, reason).instrument(self.span.clone()).await;
                self.settle(retried);
            }
        }
    }

    /// Counts how the attempt ended, and tells it the trace.
    fn ended(&self, end: JobEnd, failure: Option<&TaskFailure>) {
        ingest::job_ended(end, failure.map(|failure| failure.code));
        self.span.record("imagesearch.outcome", end.as_str());
        if let Some(failure) = failure {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", failure.code.as_str());
        }
    }

    fn report(&self, outcome: &Outcome) {
        let task_id = self.lease.job.task_id;
        match outcome {
            Outcome::Indexed(_) => self.ended(JobEnd::Indexed, None),
            Outcome::Duplicate(_) => self.ended(JobEnd::Duplicate, None),
            Outcome::Superseded => self.ended(JobEnd::Superseded, None),
            Outcome::Failed(failure) => self.ended(JobEnd::Failed, Some(failure)),
        }
        if matches!(outcome, Outcome::Indexed(_)) {
            let age = Timestamp::now().duration_since(self.lease.job.created);
            ingest::indexed_after(Duration::try_from(age).unwrap_or_default());
        }
        match outcome {
            Outcome::Failed(failure) => warn!(%task_id, code = ?failure.code, reason = failure.detail, "job failed"),
            Outcome::Indexed(result) => debug!(%task_id, image_id = %result.image_id, "image indexed"),
            Outcome::Duplicate(result) => debug!(%task_id, image_id = %result.image_id, "image was there already"),
            Outcome::Superseded => debug!(%task_id, "job superseded"),
        }
    }

    /// A queue that can't be told keeps the job: its lease runs out, and the next delivery finds the work done.
    fn settle(self, result: Result<(), QueueError>) {
        if let Err(error) = result {
            warn!(task_id = %self.lease.job.task_id, %error, "cannot end job; it will be delivered again");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.lease.token);
    }
}
