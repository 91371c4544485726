//! Feeds the projection from the bucket, for as long as the queue is open. Whatever goes wrong with the subscription (a
//! heartbeat that is missed, a gap in the numbers, a server that was started again), it is thrown away and the projection
//! is built anew beside the one that answers.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream,
};
use futures::StreamExt;
use jiff::Timestamp;
use shared::TaskId;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::{
    connection::{Connection, unavailable},
    projection::Projection,
    states::{CLEARED, State, States},
    streams::Names,
};
use crate::queue::QueueError;

/// Silence after which a subscription is taken for dead.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the server waits before it forgets the consumer of a process that is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);
/// Changes asked for at a time: bounds what waits in memory.
const BATCH: usize = 500;
/// Between two builds.
const PAUSE: Duration = Duration::from_millis(500);
/// How often tasks that are too old are looked for.
const TIDY_EVERY: Duration = Duration::from_mins(1);

pub(super) struct Watcher {
    pub(super) connection: Connection,
    pub(super) names: Names,
    pub(super) projection: Arc<Projection>,
    pub(super) states: States,
}

impl Watcher {
    pub(super) async fn run(self) {
        loop {
            if let Err(error) = self.follow().await {
                warn!(error = %error, source = ?std::error::Error::source(&error), "task states are read anew");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Builds the projection and keeps it current until something is wrong.
    async fn follow(&self) -> Result<(), QueueError> {
        let mut epoch = self.connection.epoch.clone();
        epoch.mark_unchanged();
        self.projection.begin_build();
        let consumer = self.consumer().await?;
        let mut left = consumer.cached_info().num_pending;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(HEARTBEAT * 4)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|source| unavailable("cannot follow the task states", source))?;
        let mut next = 1;
        let mut building = true;
        let mut tidy = interval(TIDY_EVERY);
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if building && left == 0 {
                building = false;
                debug!("task states are complete");
                self.projection.end_build();
                self.states.remove(self.projection.take_forgotten()).await;
            }
            let message = tokio::select! {
                message = messages.next() => message,
                _ = epoch.changed() => return Err(unavailable("following the task states", "the connection was lost")),
                _ = tidy.tick(), if !building => {
                    self.states.remove(self.projection.take_forgotten()).await;
                    continue;
                }
            };
            let message = message
                .ok_or_else(|| unavailable("following the task states", "the subscription ended"))?
                .map_err(|source| unavailable("following the task states", source))?;
            let info = message.info().map_err(|source| unavailable("following the task states", source))?;
            if info.consumer_sequence != next {
                return Err(unavailable("following the task states", "a change was lost on the way"));
            }
            next += 1;
            left = info.pending;
            let taken = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos()).unwrap_or_default();
            self.apply(&message.message, info.stream_sequence, taken);
        }
    }

    async fn consumer(&self) -> Result<PullConsumer, QueueError> {
        let config = pull::Config {
            description: Some("imagesearch: a projection of the task states".into()),
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subject: self.names.task_subject(">"),
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let made = async {
            let stream: stream::Stream<()> = self.connection.context.get_stream_no_info(self.names.tasks()).await?;
            Ok::<_, async_nats::Error>(stream.create_consumer(config).await?)
        };
        self.connection.call("follow the task states", made).await
    }

    fn apply(&self, message: &async_nats::Message, revision: u64, taken: Timestamp) {
        let key = message.subject.rsplit('.').next().unwrap_or_default();
        if key == CLEARED {
            let before = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
            self.projection.clear(before.unwrap_or(revision));
        } else if key.parse::<TaskId>().is_ok() && !message.payload.is_empty() {
            match serde_json::from_slice::<State>(&message.payload) {
                Ok(state) => self.projection.see(&state, revision, taken),
                // A newer version's, or not ours; it must not hide the others.
                Err(error) => warn!(task_id = key, error = %error, "a task state is not readable"),
            }
        }
    }
}
