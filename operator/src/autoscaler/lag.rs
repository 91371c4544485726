//! How many jobs wait, asked of JetStream itself: the leader of the stream of jobs counts them, its consumers know which of
//! them a worker has. A job leaves the stream when it is finished, so one that is being worked on, or that waits for another
//! try, still counts. Jobs of a second model don't: other workers have them.

#[cfg(test)]
mod tests;

use std::{error::Error, sync::Arc, time::Duration};

use async_nats::{
    ConnectOptions,
    connection::State,
    jetstream::{self, Context, ErrorCode, context::RequestError, response::Response},
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use shared::config::Secret;
use tokio::time::timeout;
use tracing::debug;

use super::{Beside, Progress, fill};

/// How long one reading may take, connecting included.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How NATS is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nats {
    /// As `nats://host:4222` or `tls://host:4222`.
    pub servers: Vec<String>,
    pub login: Login,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca: Option<String>,
    /// Certificate chain and key (PEM) for mutual TLS.
    pub certificate: Option<(String, Secret)>,
}

/// Who the operator is to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    Anonymous,
    User {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// The contents of a `.creds` file.
    Credentials(Secret),
}

/// Jobs of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// That no worker has taken.
    pub pending: u64,
    /// That a worker has taken, or that wait for another try.
    pub in_flight: u64,
    /// Since when the oldest of both is there.
    pub oldest_since: Option<Timestamp>,
}

impl Lag {
    pub fn total(&self) -> u64 {
        self.pending + self.in_flight
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LagError {
    #[error("{what} can't be used")]
    Settings {
        what: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cannot connect to NATS at {servers}")]
    Connect {
        servers: String,
        #[source]
        source: async_nats::ConnectError,
    },
    #[error("cannot ask NATS about {stream}")]
    Request {
        stream: String,
        #[source]
        source: RequestError,
    },
    #[error("NATS does not tell about {stream}")]
    Refused {
        stream: String,
        #[source]
        source: jetstream::Error,
    },
    #[error("NATS at {servers} did not answer within {} s", READ_TIMEOUT.as_secs())]
    Timeout { servers: String },
}

/// Asks about one stream, over one connection that is kept.
pub struct LagReader {
    nats: Nats,
    stream: String,
    beside: Option<Beside>,
    progress: Option<Progress>,
    context: Option<Context>,
}

impl LagReader {
    pub fn new(nats: Nats, stream: String) -> Self {
        Self { nats, stream, beside: None, progress: None, context: None }
    }

    /// From now on, jobs of this model don't count, and it is asked how far it is.
    pub fn set_beside(&mut self, beside: Option<Beside>) {
        let fill = |beside: &Option<Beside>| beside.as_ref().map(|beside| (beside.source.clone(), beside.filled_since));
        if fill(&beside) != fill(&self.beside) {
            self.progress = None;
        }
        self.beside = beside;
    }

    /// What was told last of the model beside.
    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// A stream that isn't there has no jobs: nobody has uploaded yet. Everything else that is not an answer is an error.
    pub async fn read(&mut self) -> Result<Lag, LagError> {
        let servers = self.servers();
        let read = timeout(READ_TIMEOUT, self.ask()).await.unwrap_or(Err(LagError::Timeout { servers }));
        if read.is_err() {
            // A peer that vanished looks like a slow one: only a new connection tells them apart.
            self.context = None;
        }
        read
    }

    async fn ask(&mut self) -> Result<Lag, LagError> {
        let context = self.connected().await?;
        let told = async {
            match &self.beside {
                Some(beside) => fill::ask(&context, beside).await,
                None => None,
            }
        };
        let (lag, told) = futures::join!(self.count(&context), told);
        self.progress = told.or_else(|| self.progress.take());
        lag
    }

    async fn count(&self, context: &Context) -> Result<Lag, LagError> {
        let stream = format!("STREAM.INFO.{}", self.stream);
        let consumers = format!("CONSUMER.LIST.{}", self.stream);
        let (stream, consumers) =
            futures::try_join!(self.request::<StreamInfo>(context, stream), self.request(context, consumers))?;
        let Some(StreamInfo { state }) = stream else { return Ok(Lag::default()) };
        // One for each model: there are never more than an answer holds.
        let ConsumerList { consumers } = consumers.unwrap_or_default();
        let beside = self.beside.as_ref().and_then(|beside| beside.fingerprint.as_ref());
        let (others, ours): (Vec<_>, Vec<_>) =
            consumers.unwrap_or_default().into_iter().partition(|consumer| Some(&consumer.name) == beside);
        let of_others: u64 = others.iter().map(|consumer| consumer.num_pending + consumer.num_ack_pending).sum();
        let jobs = state.messages.saturating_sub(of_others);
        // The first of the stream may be of either.
        let in_flight = ours.iter().map(|consumer| consumer.num_ack_pending).sum::<u64>().min(jobs);
        Ok(Lag { pending: jobs - in_flight, in_flight, oldest_since: (jobs > 0).then_some(state.first_ts) })
    }

    /// None when there is no such stream.
    async fn request<T: DeserializeOwned>(&self, context: &Context, subject: String) -> Result<Option<T>, LagError> {
        let stream = || self.stream.clone();
        match context.request(subject, &()).await {
            Ok(Response::Ok(answer)) => Ok(Some(answer)),
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            Ok(Response::Err { error }) => Err(LagError::Refused { stream: stream(), source: error }),
            Err(source) => Err(LagError::Request { stream: stream(), source }),
        }
    }

    async fn connected(&mut self) -> Result<Context, LagError> {
        if let Some(context) = &self.context
            && context.client().connection_state() == State::Connected
        {
            return Ok(context.clone());
        }
        let client = options(&self.nats)?
            .connect(&self.nats.servers)
            .await
            .map_err(|source| LagError::Connect { servers: self.servers(), source })?;
        let context = jetstream::new(client);
        self.context = Some(context.clone());
        Ok(context)
    }

    /// As they may be shown: a URL can hold a password.
    fn servers(&self) -> String {
        let shown = self.nats.servers.iter().map(|server| match (server.find("://"), server.rfind('@')) {
            (Some(scheme), Some(at)) => format!("{}{}", &server[..scheme + 3], &server[at + 1..]),
            (None, Some(at)) => server[at + 1..].to_owned(),
            _ => server.clone(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn options(nats: &Nats) -> Result<ConnectOptions, LagError> {
    // The client asks for the process's own and panics when there is none. If there is one already, that is as good.
    let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut options = ConnectOptions::new()
        .name("imagesearch-operator")
        .connection_timeout(READ_TIMEOUT)
        // A lost connection is given up, and made anew by the next reading: by itself the client would look for a server
        // that is gone for good, until the process ends.
        .max_reconnects(Some(nats.servers.len()))
        .ignore_discovered_servers()
        .event_callback(async |event| debug!(%event, "connection to NATS"));
    options = match &nats.login {
        Login::Anonymous => options,
        Login::User { user, password } => options.user_and_password(user.clone(), password.reveal().to_owned()),
        Login::Token(token) => options.token(token.reveal().to_owned()),
        Login::Credentials(credentials) => options.credentials(credentials.reveal()).map_err(unusable("nats.creds"))?,
    };
    if nats.ca.is_some() || nats.certificate.is_some() {
        options = options.tls_client_config(tls(nats)?).require_tls(true);
    }
    Ok(options)
}

fn tls(nats: &Nats) -> Result<ClientConfig, LagError> {
    let mut roots = RootCertStore::empty();
    match &nats.ca {
        Some(ca) => {
            for certificate in certificates(ca, "ca.crt")? {
                roots.add(certificate).map_err(unusable("ca.crt"))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder().with_root_certificates(Arc::new(roots));
    let Some((certificate, key)) = &nats.certificate else { return Ok(config.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(unusable("tls.key"))?;
    config.with_client_auth_cert(certificates(certificate, "tls.crt")?, key).map_err(unusable("tls.crt"))
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, LagError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(unusable(what))?;
    if certificates.is_empty() {
        return Err(unusable(what)("it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable<E: Into<Box<dyn Error + Send + Sync>>>(what: &'static str) -> impl Fn(E) -> LagError {
    move |source| LagError::Settings { what, source: source.into() }
}

#[derive(Deserialize)]
struct StreamInfo {
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
    first_ts: Timestamp,
}

#[derive(Deserialize, Default)]
struct ConsumerList {
    /// Null when there is none.
    consumers: Option<Vec<Consumer>>,
}

#[derive(Deserialize)]
struct Consumer {
    name: String,
    num_pending: u64,
    num_ack_pending: u64,
}
