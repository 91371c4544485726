//! The connection to the servers: how it is made, and the deadline that every call through it has. It comes back by
//! itself; while it is away, calls wait for it until their deadline and then fail, so nothing piles up in the client.

use std::{error::Error, fs, future::IntoFuture, time::Duration};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event,
    connection::State,
    jetstream::{
        Context,
        context::{ContextBuilder, PublishError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
        response::Response,
    },
};
use bytes::Bytes;
use camino::Utf8Path;
use serde::{Serialize, de::DeserializeOwned};
use shared::config::Jetstream;
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::queue::QueueError;

/// The longest that the client waits between two tries to connect.
const RECONNECT_AT_MOST: Duration = Duration::from_secs(1);
/// How often a call that waits for the connection looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Silence after which the server is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Publishes whose acknowledgement is not there yet: many callers, each with as many as it sends ahead (`jobs::CHUNK`).
const ACKS_IN_FLIGHT: usize = 1 << 16;

/// `$JS.API` error: a limit of the stream refuses the message.
const STORE_FAILED: u64 = 10077;
/// `$JS.API` errors: the subject has another last message than was expected.
const WRONG_LAST: [u64; 2] = [10071, 10164];

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) timeout: Duration,
    /// Grows with every connection made: what a server kept for the one before is gone.
    pub(super) epoch: watch::Receiver<u64>,
}

/// What a server answered to a publish that reached it.
#[derive(Debug)]
pub(super) enum Published {
    Accepted(PublishAck),
    /// Another message was written to the subject first.
    Conflict,
    /// The stream holds as many as it may.
    Full,
}

/// A publish that was sent; the answer is on its way.
pub(super) type Publishing = async_nats::jetstream::context::PublishAckFuture;

impl Connection {
    pub(super) async fn open(config: &Jetstream) -> Result<Self, QueueError> {
        // The client asks for the process's own and panics when there is none. If there is one already, that is as good.
        let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let timeout = Duration::from_millis(config.timeout_ms);
        let (connected, epoch) = watch::channel(0);
        let options = options(config)?
            .name("imagesearch")
            .connection_timeout(timeout)
            .request_timeout(Some(timeout))
            .ping_interval(PING_EVERY)
            .max_reconnects(None)
            .reconnect_delay_callback(|tries| RECONNECT_AT_MOST.min(Duration::from_millis(50 * tries as u64)))
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    connected.send_modify(|epoch| *epoch += 1);
                }
                async move {
                    match event {
                        Event::Connected => info!("connected to NATS"),
                        other => warn!(event = %other, "connection to NATS"),
                    }
                }
            });
        let connecting = tokio::time::timeout(timeout, options.connect(&config.servers)).await;
        let servers = without_secrets(&config.servers);
        let client = connecting
            .map_err(|source| unavailable(format!("cannot connect to NATS at {servers}"), source))?
            .map_err(|source| match source.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    unavailable(format!("NATS at {servers} does not accept {}", presented(config)), source)
                }
                _ => unavailable(format!("cannot connect to NATS at {servers}"), source),
            })?;
        let context = ContextBuilder::new()
            .timeout(timeout)
            .ack_timeout(timeout)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, context, timeout, epoch })
    }

    /// Runs a call to the server, with the deadline that every call has.
    pub(super) async fn call<T, E>(&self, what: &str, call: impl Future<Output = Result<T, E>>) -> Result<T, QueueError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let connected = async {
            // The client would keep what is sent now and send it when the server is back, long after the caller gave up.
            while self.client.connection_state() != State::Connected {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            call.await
        };
        match timeout(self.timeout, connected).await {
            Ok(answer) => answer.map_err(|source| unavailable(format!("cannot {what}"), source)),
            Err(elapsed) => Err(unavailable(format!("cannot {what} in time"), elapsed)),
        }
    }

    /// A request to the API of JetStream.
    pub(super) async fn request<T: DeserializeOwned>(
        &self,
        what: &str,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, QueueError> {
        match self.call(what, self.context.request(subject, payload)).await? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(unavailable(format!("cannot {what}"), error)),
        }
    }

    pub(super) async fn send(&self, subject: String, message: PublishMessage) -> Result<Publishing, QueueError> {
        self.call("publish", self.context.send_publish(subject, message)).await
    }

    pub(super) async fn publish(&self, subject: String, message: PublishMessage) -> Result<Published, QueueError> {
        answer(self.send(subject, message).await?).await
    }

    /// An answer to a delivery that needs no confirmation: lost, it is as if the lease had run out.
    pub(super) async fn reply(&self, reply: &str, kind: async_nats::jetstream::AckKind) -> Result<(), QueueError> {
        let payload: Bytes = kind.into();
        self.call("answer a delivery", self.client.publish(reply.to_owned(), payload)).await
    }

    /// Ends a delivery, and waits until the server has it.
    pub(super) async fn acknowledge(&self, reply: &str) -> Result<(), QueueError> {
        let payload: Bytes = async_nats::jetstream::AckKind::Ack.into();
        self.call("acknowledge a job", self.client.request(reply.to_owned(), payload)).await.map(drop)
    }
}

/// Waits for the answer to a publish; the client bounds the wait.
pub(super) async fn answer(publishing: Publishing) -> Result<Published, QueueError> {
    let error = match publishing.into_future().await {
        Ok(ack) => return Ok(Published::Accepted(ack)),
        Err(error) => error,
    };
    match refusal(&error) {
        Some(code) if WRONG_LAST.contains(&code) => Ok(Published::Conflict),
        Some(STORE_FAILED) if source_text(&error).contains("maximum messages exceeded") => Ok(Published::Full),
        _ if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Published::Conflict),
        _ => Err(unavailable("cannot publish", error)),
    }
}

/// The code of the server's refusal, if it is one.
fn refusal(error: &PublishError) -> Option<u64> {
    let source = error.source()?.downcast_ref::<async_nats::jetstream::Error>()?;
    Some(source.error_code().0)
}

fn source_text(error: &PublishError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

fn options(config: &Jetstream) -> Result<ConnectOptions, QueueError> {
    let mut options = ConnectOptions::new();
    if let Some(path) = &config.credentials_file {
        options = options.credentials(&read(path)?).map_err(|source| {
            unavailable(format!("queue.credentials_file {path} is not a NATS credentials file"), source)
        })?;
    } else if let Some(token) = &config.token {
        options = options.token(token.reveal().to_owned());
    } else if let Some(user) = &config.user {
        let password = config.password.as_ref().map_or("", |password| password.reveal());
        options = options.user_and_password(user.clone(), password.to_owned());
    }
    if let Some(path) = &config.ca_file {
        options = options.add_root_certificates(path.into()).require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
        options = options.add_client_certificate(certificate.into(), key.into()).require_tls(true);
    }
    Ok(options)
}

/// What a server that lets nobody in was shown.
fn presented(config: &Jetstream) -> String {
    if let Some(path) = &config.credentials_file {
        format!("queue.credentials_file {path}")
    } else if config.token.is_some() {
        "queue.token".into()
    } else if let Some(user) = &config.user {
        format!("queue.user {user} with queue.password")
    } else {
        "a client without queue.credentials_file, queue.token or queue.user".into()
    }
}

fn read(path: &Utf8Path) -> Result<String, QueueError> {
    fs::read_to_string(path).map_err(|source| unavailable(format!("cannot read queue.credentials_file {path}"), source))
}

/// The servers as they may be shown: a URL can hold a password.
fn without_secrets(servers: &[String]) -> String {
    let shown = servers.iter().map(|server| match (server.find("://"), server.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}{}", &server[..scheme + 3], &server[at + 1..]),
        (None, Some(at)) => server[at + 1..].to_owned(),
        _ => server.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(super) fn unavailable(context: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> QueueError {
    QueueError::Unavailable { context: context.into(), source: source.into() }
}
