//! Task states in the key-value bucket: one key a task. Every change is a compare-and-swap on the key's revision, so of two
//! processes that change a task at the same time, the second reads what the first wrote and decides again.

use std::sync::Arc;

use async_nats::jetstream::{message::PublishMessage, stream::LastRawMessageErrorKind};
use bytes::Bytes;
use futures::{StreamExt, future::ready, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{ImageId, Job, Task, TaskFailure, TaskId, TaskResult, TaskStatus};

use super::{
    connection::{Connection, Published, Publishing, answer, unavailable},
    messages::{SCHEMA, SCHEMA_HEADER},
    projection::Projection,
    streams::Names,
};
use crate::queue::{Lease, QueueError};

/// Written when everything before it was forgotten: tells other processes what their projections can't see otherwise.
pub(super) const CLEARED: &str = "cleared";
/// Written to see whether the server takes writes.
const PROBE: &str = "probe";
/// Tries to change a task that others change at the same time. Each try that fails means that one of them succeeded.
const TRIES: usize = 16;
/// Requests in flight when many are removed.
const AT_ONCE: usize = 32;

/// What a key holds: the job and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) job: Job,
    pub(super) status: TaskStatus,
    /// Deliveries that were begun. The server's own count has those that were handed back too.
    pub(super) attempts: u32,
    /// Of the delivery that holds the job, while it is processing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_id: Option<ImageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<TaskResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<TaskFailure>,
    pub(super) updated: Timestamp,
}

impl State {
    pub(super) fn queued(job: Job) -> Self {
        let image_id = job.source.image_id();
        Self {
            job,
            status: TaskStatus::Queued,
            attempts: 0,
            token: None,
            image_id,
            result: None,
            error: None,
            updated: Timestamp::now(),
        }
    }

    /// Held by the delivery of this token from now on.
    pub(super) fn begin(&mut self, token: String) {
        self.status = TaskStatus::Processing;
        self.attempts += 1;
        self.token = Some(token);
        self.updated = Timestamp::now();
    }

    pub(super) fn task(&self) -> Task {
        Task {
            task_id: self.job.task_id,
            status: self.status,
            name: self.job.name.clone(),
            image_id: self.image_id,
            result: self.result.clone(),
            error: self.error.clone(),
            attempts: self.attempts,
            created: self.job.created,
            updated: self.updated,
        }
    }
}

#[derive(Clone)]
pub(super) struct States {
    connection: Connection,
    names: Names,
    projection: Arc<Projection>,
}

impl States {
    pub(super) fn new(connection: Connection, names: Names, projection: Arc<Projection>) -> Self {
        Self { connection, names, projection }
    }

    /// A task's state and its revision, as its leader has it.
    pub(super) async fn get(&self, task_id: TaskId) -> Result<Option<(State, u64)>, QueueError> {
        let subject = self.names.task_subject(&key(task_id));
        let found = async {
            let stream = self.connection.context.get_stream_no_info(self.names.tasks()).await?;
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(Box::<dyn std::error::Error + Send + Sync>::from(error)),
            }
        };
        let Some(message) = self.connection.call("read a task", found).await? else { return Ok(None) };
        let state = serde_json::from_slice(&message.payload)
            .map_err(|source| unavailable(format!("task {task_id} is not readable"), source))?;
        Ok(Some((state, message.sequence)))
    }

    /// Writes a state over the one of `revision`, 0 for none; false when another was written meanwhile.
    pub(super) async fn write(&self, state: &State, revision: u64) -> Result<bool, QueueError> {
        let written = answer(self.send(state, revision).await?).await?;
        self.written(state, written)
    }

    /// Writes the states of new jobs, in their order, unless a worker was faster.
    pub(super) async fn create(&self, states: &[State]) -> Result<(), QueueError> {
        let mut sent = Vec::with_capacity(states.len());
        for state in states {
            sent.push((state, self.send(state, 0).await?));
        }
        for (state, publishing) in sent {
            self.written(state, answer(publishing).await?)?;
        }
        Ok(())
    }

    async fn send(&self, state: &State, revision: u64) -> Result<Publishing, QueueError> {
        let message = PublishMessage::build()
            .payload(to_json(state)?)
            .header(SCHEMA_HEADER, SCHEMA.to_string())
            .expected_last_subject_sequence(revision);
        self.connection.send(self.names.task_subject(&key(state.job.task_id)), message).await
    }

    fn written(&self, state: &State, answer: Published) -> Result<bool, QueueError> {
        match answer {
            Published::Accepted(ack) => {
                // Readers of this process see it at once.
                self.projection.write(state, ack.sequence);
                Ok(true)
            }
            Published::Conflict => Ok(false),
            Published::Full => Err(unavailable("cannot write a task", "the bucket is full")),
        }
    }

    /// Changes a task that the lease holds.
    pub(super) async fn change(&self, lease: &Lease, edit: impl Fn(&mut State)) -> Result<(), QueueError> {
        for _ in 0..TRIES {
            let (mut state, revision) = self.held(lease).await?;
            edit(&mut state);
            state.updated = Timestamp::now();
            if self.write(&state, revision).await? {
                return Ok(());
            }
        }
        Err(contended(lease.job.task_id))
    }

    /// The state of a task that the lease holds.
    pub(super) async fn held(&self, lease: &Lease) -> Result<(State, u64), QueueError> {
        let found = self.get(lease.job.task_id).await?;
        found
            .filter(|(state, _)| state.token.as_ref() == Some(&lease.token))
            .ok_or(QueueError::LeaseLost(lease.job.task_id))
    }

    /// Removes states that are over, by their revisions. Whoever else removes them too is welcome.
    pub(super) async fn remove(&self, revisions: Vec<u64>) {
        let removed = stream::iter(revisions).map(|revision| delete(&self.connection, self.names.tasks(), revision));
        let failed =
            removed.buffer_unordered(AT_ONCE).filter_map(|answer| ready(answer.err())).collect::<Vec<_>>().await;
        if let Some(error) = failed.first() {
            // They are removed when the projection is built the next time.
            tracing::warn!(error = %error, count = failed.len(), "ended tasks could not be removed");
        }
    }

    /// Says that everything before `revision`, or before now, is forgotten. Gives the revision before which that holds.
    pub(super) async fn mark_cleared(&self, revision: Option<u64>) -> Result<u64, QueueError> {
        let text = revision.map(|revision| revision.to_string()).unwrap_or_default();
        let written = self.put(CLEARED, text).await?;
        let cleared = revision.unwrap_or(written);
        self.projection.clear(cleared);
        Ok(cleared)
    }

    pub(super) async fn probe(&self) -> Result<(), QueueError> {
        self.put(PROBE, Timestamp::now().to_string()).await.map(drop)
    }

    async fn put(&self, key: &str, value: String) -> Result<u64, QueueError> {
        let message = PublishMessage::build().payload(value.into());
        match self.connection.publish(self.names.task_subject(key), message).await? {
            Published::Accepted(ack) => Ok(ack.sequence),
            refused => Err(unavailable(format!("cannot write the key {key}"), format!("{refused:?}"))),
        }
    }
}

pub(super) fn contended(task_id: TaskId) -> QueueError {
    unavailable(format!("cannot change task {task_id}"), "others change it all the time")
}

/// Deletes one message of a stream; one that is gone is no error. Nothing in it is secret, so it isn't overwritten.
pub(super) async fn delete(connection: &Connection, stream: String, sequence: u64) -> Result<(), QueueError> {
    let subject = format!("STREAM.MSG.DELETE.{stream}");
    let which = json!({"seq": sequence, "no_erase": true});
    let deleted = async {
        let request = connection.context.request::<_, _, serde_json::Value>(subject, &which);
        let answer = request.await.map_err(|error| error.to_string())?;
        let error = &answer["error"];
        // The server has no one code for it.
        let says = |text| error["description"].as_str().is_some_and(|description| description.contains(text));
        let gone = says("sequence") || says("no message") || says("EOF");
        if error.is_null() || gone { Ok(()) } else { Err(error.to_string()) }
    };
    connection.call("remove a message", deleted).await
}

pub(super) fn key(task_id: TaskId) -> String {
    task_id.0.to_string()
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Bytes, QueueError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| unavailable("cannot encode a message", source))
}
