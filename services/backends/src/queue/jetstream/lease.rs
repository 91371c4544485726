//! Who may work on which job. The token of a lease is the subject that answers its delivery and a random part, kept in the
//! task's state: whoever shows another one has lost the lease. Nothing of a lease is kept in this process.
//!
//! What a crash leaves behind, step by step:
//! - fetched, state not changed: the server delivers again after `ACK_WAIT`.
//! - state `processing`, nobody works: delivered again when the lease runs out; the next delivery takes the task over.
//! - state over, message not acknowledged: delivered again; the worker's side sees that the task is over, writes the dead
//!   letter of a failed one (over itself, if it is there) and acknowledges.
//! - state `queued` again (retry, hand back), server not told: delivered again when the lease runs out.
//! - acknowledged: over.

use std::{sync::Arc, time::Duration};

use async_nats::{Message, jetstream::AckKind};
use futures::{StreamExt, stream};
use shared::{ImageId, Job, ModelFingerprint, TaskFailure, TaskId, TaskStatus};
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, error, warn};
use uuid::Uuid;

use super::{
    Inner,
    connection::{Published, unavailable},
    consumer::ACK_WAIT,
    messages::{self, Content},
    pull::Puller,
    states::{State, contended, key},
};
use crate::queue::{Lease, Outcome, QueueError};

/// The longest that a request for a lease waits.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// Deliveries that are marked at the same time.
const AT_ONCE: usize = 32;
/// Until a job that a newer version wrote is offered again.
const NEWER_DELAY: Duration = Duration::from_mins(1);
/// Tries to begin a task that others change at the same time.
const TRIES: usize = 16;

/// Leased jobs on their way to a worker. When nobody takes them, because the future that asked was dropped, they go back.
struct Offer {
    leases: Vec<Lease>,
    inner: Arc<Inner>,
}

impl Offer {
    fn accept(mut self) -> Vec<Lease> {
        std::mem::take(&mut self.leases)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !leases.is_empty() {
            let inner = self.inner.clone();
            runtime.spawn(async move {
                for lease in &leases {
                    // Refused only when the lease is over already; unheard, it runs out.
                    let _ = inner.hand_back(lease).await;
                }
            });
        }
    }
}

pub(super) struct Request {
    pub(super) model: ModelFingerprint,
    pub(super) max: usize,
    pub(super) duration: Duration,
    pub(super) wait: Duration,
}

/// Leases jobs in a task of its own: a caller that goes away must not take along what the server has sent.
pub(super) async fn lease(inner: &Arc<Inner>, request: Request) -> Result<Vec<Lease>, QueueError> {
    if request.max == 0 {
        return Ok(Vec::new());
    }
    let (mut reply, answer) = oneshot::channel();
    let inner = inner.clone();
    tokio::spawn(async move {
        let taken = inner.take(&request, reply.closed()).await;
        // An offer that isn't taken gives its jobs back.
        let _ = reply.send(taken.map(|leases| Offer { leases, inner: inner.clone() }));
    });
    answer.await.map_err(|source| unavailable("cannot lease jobs", source))?.map(Offer::accept)
}

impl Inner {
    async fn take(&self, request: &Request, cancelled: impl Future<Output = ()>) -> Result<Vec<Lease>, QueueError> {
        let Self { connection, consumers, names, .. } = self;
        let puller = Puller { connection, consumers, names, model: &request.model };
        let deadline = Instant::now() + request.wait.min(MAX_WAIT);
        consumers.ensure_once(&request.model).await?;
        tokio::pin!(cancelled);
        loop {
            let messages = puller.fetch(request.max, deadline, &mut cancelled).await?;
            if messages.is_empty() {
                return Ok(Vec::new());
            }
            let begun = stream::iter(messages).map(|message| self.begin(message, request)).buffered(AT_ONCE);
            let begun: Vec<Result<Option<Lease>, QueueError>> = begun.collect().await;
            let mut leases = Vec::with_capacity(begun.len());
            let mut fault = None;
            for one in begun {
                match one {
                    Ok(lease) => leases.extend(lease),
                    Err(error) => fault = Some(error),
                }
            }
            match fault {
                Some(error) if leases.is_empty() => return Err(error),
                // None when all of them were over already.
                _ if leases.is_empty() => {}
                _ => return Ok(leases),
            }
        }
    }

    /// Makes a lease of a delivery; none when the task is over already.
    async fn begin(&self, message: Message, request: &Request) -> Result<Option<Lease>, QueueError> {
        let Some(reply) = message.reply.as_ref().map(ToString::to_string) else { return Ok(None) };
        let job = match messages::read(&message) {
            Content::Job(job) => *job,
            Content::Newer(schema) => {
                warn!(schema, "a job of a newer version waits for a worker of that version");
                self.connection.reply(&reply, AckKind::Nak(Some(NEWER_DELAY))).await?;
                return Ok(None);
            }
            Content::Unreadable(reason) => {
                self.bury_unreadable(&message, &request.model, &reply, &reason).await?;
                return Ok(None);
            }
        };
        let begun = self.mark(job, &reply).await;
        if begun.is_err() {
            // Delivered again now rather than when its time is over; unheard, then.
            let _ = self.connection.reply(&reply, AckKind::Nak(None)).await;
        }
        let Some(lease) = begun? else { return Ok(None) };
        if request.duration != ACK_WAIT {
            // Else the server's own time is the lease.
            self.last(&reply, request.duration).await?;
        }
        Ok(Some(lease))
    }

    /// Writes into the task's state that this delivery has it.
    async fn mark(&self, job: Job, reply: &str) -> Result<Option<Lease>, QueueError> {
        let token = format!("{reply} {}", Uuid::new_v4().simple());
        for _ in 0..TRIES {
            let (mut state, revision) = match self.states.get(job.task_id).await? {
                // Whoever published it didn't get to it, or is about to.
                None => (State::queued(job.clone()), 0),
                Some((state, _)) if !state.status.is_alive() => {
                    debug!(task_id = %job.task_id.0, "delivered again though it is over");
                    self.settle(&state, reply).await?;
                    return Ok(None);
                }
                Some(found) => found,
            };
            state.job = job.clone();
            state.begin(token.clone());
            if self.states.write(&state, revision).await? {
                return Ok(Some(Lease { job, attempt: state.attempts, token }));
            }
        }
        Err(contended(job.task_id))
    }

    /// Sets when the server delivers again. Its own way to say so, a heartbeat, gives every lease the consumer's time; a
    /// delayed refusal gives each its own, and is taken back by whatever answer comes before.
    async fn last(&self, reply: &str, duration: Duration) -> Result<(), QueueError> {
        let kind = if duration == ACK_WAIT { AckKind::Progress } else { AckKind::Nak(Some(duration)) };
        self.connection.reply(reply, kind).await
    }

    pub(super) async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), QueueError> {
        self.states.held(lease).await?;
        self.last(reply_of(lease)?, duration).await
    }

    pub(super) async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<(), QueueError> {
        let (status, result, error) = match outcome {
            Outcome::Indexed(result) => (TaskStatus::Indexed, Some(result), None),
            Outcome::Duplicate(result) => (TaskStatus::Duplicate, Some(result), None),
            Outcome::Superseded => (TaskStatus::Superseded, None, None),
            Outcome::Failed(failure) => (TaskStatus::Failed, None, Some(failure)),
        };
        let reply = reply_of(lease)?;
        self.states
            .change(lease, |state| {
                state.status = status;
                state.token = None;
                state.image_id = result.as_ref().map(|result| result.image_id).or(state.image_id);
                state.result.clone_from(&result);
                state.error.clone_from(&error);
            })
            .await?;
        let ended = State { status, error, attempts: lease.attempt, ..State::queued(lease.job.clone()) };
        if let Err(error) = self.settle(&ended, reply).await {
            // The task is over for everybody; the next delivery does what is left.
            warn!(task_id = %lease.job.task_id.0, error = %error, "an ended job is settled later");
        }
        self.states.remove(self.projection.take_forgotten()).await;
        Ok(())
    }

    /// What is left to do for a task that is over: its dead letter, then the end of its message.
    async fn settle(&self, ended: &State, reply: &str) -> Result<(), QueueError> {
        if let Some(failure) = ended.error.as_ref().filter(|_| ended.status == TaskStatus::Failed) {
            let letter = messages::dead_letter(&ended.job, failure, ended.attempts)?;
            let subject = self.names.dead_subject(&ended.job.model, &key(ended.job.task_id));
            self.bury(subject, letter).await?;
        }
        self.connection.acknowledge(reply).await
    }

    async fn bury_unreadable(
        &self,
        message: &Message,
        model: &ModelFingerprint,
        reply: &str,
        reason: &str,
    ) -> Result<(), QueueError> {
        error!(reason, "a message in the queue is not a job; it is among the dead letters");
        let id = TaskId::new().0.to_string();
        self.bury(self.names.dead_subject(model, &id), messages::unreadable(message, &id, reason)).await?;
        self.connection.acknowledge(reply).await
    }

    async fn bury(
        &self,
        subject: String,
        letter: async_nats::jetstream::message::PublishMessage,
    ) -> Result<(), QueueError> {
        match self.connection.publish(subject, letter).await? {
            Published::Accepted(_) => Ok(()),
            refused => Err(unavailable("cannot keep a dead letter", format!("{refused:?}"))),
        }
    }

    pub(super) async fn retry(&self, lease: &Lease, delay: Duration, reason: TaskFailure) -> Result<(), QueueError> {
        let reply = reply_of(lease)?;
        self.states
            .change(lease, |state| {
                state.status = TaskStatus::Queued;
                state.token = None;
                state.error = Some(reason.clone());
            })
            .await?;
        self.connection.reply(reply, AckKind::Nak(Some(delay))).await
    }

    pub(super) async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        let reply = reply_of(lease)?;
        self.states
            .change(lease, |state| {
                state.status = TaskStatus::Queued;
                state.token = None;
                state.attempts = state.attempts.saturating_sub(1);
            })
            .await?;
        self.connection.reply(reply, AckKind::Nak(None)).await
    }

    pub(super) async fn set_image_id(&self, lease: &Lease, image_id: ImageId) -> Result<(), QueueError> {
        self.states.change(lease, |state| state.image_id = Some(image_id)).await
    }
}

/// The subject that answers the delivery of this lease.
fn reply_of(lease: &Lease) -> Result<&str, QueueError> {
    lease.token.split_once(' ').map(|(reply, _)| reply).ok_or(QueueError::LeaseLost(lease.job.task_id))
}
