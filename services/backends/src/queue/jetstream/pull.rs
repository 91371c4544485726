//! Fetching messages from a model's consumer, by requests that the server ends: what it sends for a request always finds
//! somebody who takes it. Nothing is fetched ahead.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber, jetstream::AckKind};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use shared::ModelFingerprint;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tracing::debug;

use super::{
    connection::{Connection, unavailable},
    consumer::Consumers,
    streams::Names,
};
use crate::queue::QueueError;

/// The longest that one request waits at the server. A server that was started again has forgotten it.
const REQUEST_AT_MOST: Duration = Duration::from_secs(5);
/// Between two tries when the consumer is not there.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Puller<'a> {
    pub(super) connection: &'a Connection,
    pub(super) consumers: &'a Consumers,
    pub(super) names: &'a Names,
    pub(super) model: &'a ModelFingerprint,
}

enum Answer {
    Message(Box<Message>),
    /// The request is done: nothing (more) comes.
    Over,
    /// There is no such consumer, or not at the moment.
    NoConsumer,
}

impl Puller<'_> {
    /// Up to `max` messages; waits until the deadline for the first. `cancelled` resolves when nobody wants them any more.
    pub(super) async fn fetch(
        &self,
        max: usize,
        deadline: Instant,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Vec<Message>, QueueError> {
        tokio::pin!(cancelled);
        loop {
            let mut messages = Vec::new();
            let mut there = self.take_ready(max, &mut messages).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !messages.is_empty() || (there && left.is_zero()) {
                return Ok(messages);
            }
            if there {
                let mut request = Request::start(self, 1, Some(left.min(REQUEST_AT_MOST))).await?;
                let answer = tokio::select! {
                    answer = request.next() => answer?,
                    () = &mut cancelled => {
                        request.give_back().await;
                        return Ok(messages);
                    }
                };
                if let Answer::Message(message) = answer {
                    messages.push(*message);
                    // What is in hand is not lost for a fault of the next request.
                    let _ = self.take_ready(max - 1, &mut messages).await;
                    return Ok(messages);
                }
                there = !matches!(answer, Answer::NoConsumer);
            }
            if !there {
                debug!(model = %self.model, "the consumer is gone");
                self.consumers.ensure(self.model).await?;
                if left.is_zero() {
                    continue;
                }
                tokio::time::sleep(PAUSE.min(left)).await;
            }
        }
    }

    /// What is ready now; false when there is no consumer.
    async fn take_ready(&self, max: usize, messages: &mut Vec<Message>) -> Result<bool, QueueError> {
        if max == 0 {
            return Ok(true);
        }
        let mut request = Request::start(self, max, None).await?;
        let wanted = messages.len() + max;
        while messages.len() < wanted {
            match request.next().await {
                Ok(Answer::Message(message)) => messages.push(*message),
                Ok(Answer::Over) => return Ok(true),
                Ok(Answer::NoConsumer) => return Ok(false),
                Err(_) if !messages.is_empty() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// One request on its way.
struct Request {
    connection: Connection,
    subscriber: Subscriber,
    epoch: watch::Receiver<u64>,
    deadline: Instant,
    waits: bool,
}

impl Request {
    /// Asks for up to `batch` messages: what is ready when `wait` is absent, else what comes before it ends.
    async fn start(puller: &Puller<'_>, batch: usize, wait: Option<Duration>) -> Result<Self, QueueError> {
        let connection = puller.connection.clone();
        let mut epoch = connection.epoch.clone();
        epoch.mark_unchanged();
        let body = match wait {
            None => json!({"batch": batch, "no_wait": true}),
            Some(wait) => json!({"batch": batch, "expires": wait.as_nanos().max(1_000_000) as u64}),
        };
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", puller.names.jobs(), puller.model);
        let started = async {
            let inbox = connection.client.new_inbox();
            let subscriber = connection.client.subscribe(inbox.clone()).await?;
            connection.client.publish_with_reply(subject, inbox, Bytes::from(body.to_string())).await?;
            Ok::<_, async_nats::Error>(subscriber)
        };
        let subscriber = connection.call("ask for jobs", started).await?;
        let deadline = Instant::now() + wait.unwrap_or_default() + connection.timeout;
        Ok(Self { connection, subscriber, epoch, deadline, waits: wait.is_some() })
    }

    async fn next(&mut self) -> Result<Answer, QueueError> {
        let next = tokio::select! {
            next = timeout_at(self.deadline, self.subscriber.next()) => next,
            // Another connection: the server that knew of this request may be gone.
            _ = self.epoch.changed() => return Ok(Answer::Over),
        };
        match next {
            Ok(Some(message)) => answer(message),
            Ok(None) => Err(unavailable("cannot ask for jobs", "the connection is closed")),
            Err(_) if self.waits => Ok(Answer::Over),
            Err(elapsed) => Err(unavailable("cannot ask for jobs in time", elapsed)),
        }
    }

    /// Waits for the end of a request whose caller has gone away, and gives back what is still sent for it.
    async fn give_back(mut self) {
        while let Ok(Answer::Message(message)) = self.next().await {
            if let Some(reply) = message.reply {
                // Else it is delivered again when its time is over.
                let _ = self.connection.reply(&reply, AckKind::Nak(None)).await;
            }
        }
    }
}

fn answer(message: Message) -> Result<Answer, QueueError> {
    let Some(status) = message.status.filter(|_| message.reply.is_none()) else {
        return Ok(Answer::Message(Box::new(message)));
    };
    let description = message.description.clone().unwrap_or_default();
    match status {
        StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Ok(Answer::Over),
        StatusCode::NO_RESPONDERS => Ok(Answer::NoConsumer),
        // Deleted, or led by another server now.
        _ if status.as_u16() == 409 && !description.contains("Exceeded") => Ok(Answer::NoConsumer),
        _ => Err(unavailable("cannot ask for jobs", format!("{status} {description}"))),
    }
}
