//! Fetching an image by URL without being led anywhere that its sender could not go: each hop's address is checked where
//! it is connected to, and bytes, time and hops are counted rather than believed.

mod address;
mod resolve;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Response, StatusCode, header};
use shared::{
    FailureCode, TaskFailure,
    metrics::backend::{self, Backend, Fault, Operation, Outcome},
    telemetry::TRACE,
};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, field::Empty};
use url::{Host, Url};

pub use address::{AddressPolicy, InvalidNetwork, RefusedAddress};
use resolve::CheckedResolver;

/// Bounds of one fetch.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    pub max_bytes: u64,
    pub max_redirects: usize,
    /// From the first lookup to the last byte.
    pub total: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{} cannot be fetched: only http and https URLs can", shown(.0))]
    Scheme(Url),
    #[error("{} cannot be fetched: it carries a user name or password; URLs here are stored and shown", shown(.0))]
    Credentials(Url),
    #[error("{} cannot be fetched: {refused}", shown(url))]
    Address { url: Url, refused: RefusedAddress },
    #[error("{} cannot be fetched: more than {limit} redirects", shown(url))]
    Redirects { url: Url, limit: usize },
    #[error("{} redirects to {location:?}, which is no URL", shown(url))]
    Location { url: Url, location: String },
    #[error("{} answered {status} instead of an image", shown(url))]
    Status { url: Url, status: StatusCode, retry_after: Option<Duration> },
    #[error("{} has more than the {limit} bytes that are taken", shown(url))]
    TooLarge { url: Url, limit: u64 },
    #[error("{} answered with content coding {coding:?}, which was not asked for", shown(url))]
    Encoded { url: Url, coding: String },
    #[error("{} took more than {} s", shown(url), limit.as_secs_f64())]
    Timeout { url: Url, limit: Duration },
    #[error("{} sent nothing for {} s", shown(url), limit.as_secs_f64())]
    Idle { url: Url, limit: Duration },
    #[error("{} could not be reached: {reason}", shown(url))]
    Connection { url: Url, reason: String },
}

impl FetchError {
    /// Whether another try may end otherwise.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
                        .contains(status)
            }
            Self::Timeout { .. } | Self::Idle { .. } | Self::Connection { .. } => true,
            Self::Scheme(_)
            | Self::Credentials(_)
            | Self::Address { .. }
            | Self::Redirects { .. }
            | Self::Location { .. }
            | Self::TooLarge { .. }
            | Self::Encoded { .. } => false,
        }
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Fault for FetchError {
    fn outcome(&self) -> Outcome {
        if self.is_transient() { Outcome::Unavailable } else { Outcome::Refused }
    }
}

impl From<&FetchError> for TaskFailure {
    fn from(error: &FetchError) -> Self {
        let code = match error {
            FetchError::Scheme(_) | FetchError::Credentials(_) | FetchError::Address { .. } => {
                FailureCode::AddressRefused
            }
            FetchError::TooLarge { .. } => FailureCode::TooLarge,
            FetchError::Redirects { .. }
            | FetchError::Location { .. }
            | FetchError::Status { .. }
            | FetchError::Encoded { .. }
            | FetchError::Timeout { .. }
            | FetchError::Idle { .. }
            | FetchError::Connection { .. } => FailureCode::FetchFailed,
        };
        Self { code, detail: error.to_string() }
    }
}

/// The HTTP client of a worker.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    policy: Arc<AddressPolicy>,
    limits: FetchLimits,
}

impl Fetcher {
    pub fn new(policy: AddressPolicy, limits: FetchLimits) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let client = reqwest::Client::builder()
            .user_agent(concat!("imagesearch/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(CheckedResolver::new(policy.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A proxy would resolve and connect on its own, past the check.
            .no_proxy()
            .referer(false)
            // Inflating is where small bodies become large ones.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .build()?;
        Ok(Self { client, policy, limits })
    }

    /// Follows redirects up to the first body. Nothing of it is read yet.
    pub async fn open(&self, url: &Url) -> Result<Body, FetchError> {
        backend::call(Backend::Url, Operation::Fetch, self.follow(url)).await
    }

    async fn follow(&self, url: &Url) -> Result<Body, FetchError> {
        let deadline = Instant::now() + self.limits.total;
        let mut url = url.clone();
        for _ in 0..=self.limits.max_redirects {
            let response = self.request(&url, deadline).await?;
            match redirect_target(&url, &response)? {
                Some(next) => url = next,
                None => return self.body(url, response, deadline),
            }
        }
        Err(FetchError::Redirects { url, limit: self.limits.max_redirects })
    }

    /// One hop. Nothing of the trace is sent along: who serves the image is a stranger. Of the URL the trace has the server
    /// alone, since what follows may be a secret; the task has it all.
    async fn request(&self, url: &Url, deadline: Instant) -> Result<Response, FetchError> {
        let span = tracing::info_span!(
            target: TRACE,
            "GET",
            otel.kind = "client",
            otel.status_code = Empty,
            "error.type" = Empty,
            http.request.method = "GET",
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            url.scheme = url.scheme(),
        );
        let outcome = self.send(url, deadline).instrument(span.clone()).await;
        match &outcome {
            Ok(response) => {
                span.record("http.response.status_code", i64::from(response.status().as_u16()));
                if response.status().is_client_error() || response.status().is_server_error() {
                    span.record("otel.status_code", "ERROR");
                    span.record("error.type", response.status().as_str());
                }
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", TaskFailure::from(error).code.as_str());
            }
        }
        outcome
    }

    async fn send(&self, url: &Url, deadline: Instant) -> Result<Response, FetchError> {
        self.check(url)?;
        let sent = self
            .client
            .get(url.clone())
            .header(header::ACCEPT, "image/*")
            .header(header::ACCEPT_ENCODING, "identity")
            .send();
        timeout_at(deadline, sent)
            .await
            .map_err(|_| FetchError::Timeout { url: url.clone(), limit: self.limits.total })?
            .map_err(|error| connection_error(url, &error))
    }

    /// What can be known before connecting. Names are checked by the resolver, whose answer is what is connected to.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme(url.clone()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Credentials(without_credentials(url)));
        }
        // Decimal, octal and hexadecimal spellings of an address are one here: the URL standard's parser has read them.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        literal
            .map_or(Ok(()), |address| self.policy.check(address))
            .map_err(|refused| FetchError::Address { url: url.clone(), refused })
    }

    fn body(&self, url: Url, response: Response, deadline: Instant) -> Result<Body, FetchError> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(FetchError::Status { url, status, retry_after: retry_after(&response) });
        }
        if let Some(coding) = response.headers().get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity") {
            return Err(FetchError::Encoded { url, coding: String::from_utf8_lossy(coding.as_bytes()).into_owned() });
        }
        let limit = self.limits.max_bytes;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { url, limit });
        }
        Ok(Body { url, response, deadline, limits: self.limits.clone(), received: 0 })
    }
}

/// The body of a response, on its way in.
#[derive(Debug)]
pub struct Body {
    url: Url,
    response: Response,
    deadline: Instant,
    limits: FetchLimits,
    received: u64,
}

impl Body {
    /// Where the image was found, redirects followed.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let next = timeout(self.limits.idle, self.response.chunk());
        let chunk = timeout_at(self.deadline, next)
            .await
            .map_err(|_| FetchError::Timeout { url: self.url.clone(), limit: self.limits.total })?
            .map_err(|_| FetchError::Idle { url: self.url.clone(), limit: self.limits.idle })?
            .map_err(|error| connection_error(&self.url, &error))?;
        // Counted, whatever Content-Length said.
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.received > self.limits.max_bytes {
            return Err(FetchError::TooLarge { url: self.url.clone(), limit: self.limits.max_bytes });
        }
        Ok(chunk)
    }
}

fn redirect_target(url: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    url.join(&location)
        .map(Some)
        .map_err(|_| FetchError::Location { url: url.clone(), location: location.chars().take(200).collect() })
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

/// The resolver's refusal travels inside the client's error.
fn connection_error(url: &Url, error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
            return FetchError::Address { url: url.clone(), refused: *refused };
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return FetchError::Connection { url: url.clone(), reason: cause.to_string() },
        }
    }
}

/// A URL as it may be logged: what follows the path is often a signature, and the task has it anyway.
pub(crate) fn shown(url: &Url) -> String {
    let url = without_credentials(url);
    let end = if url.query().is_some() { "?…" } else { "" };
    format!("{}{end}", &url[..url::Position::AfterPath])
}

fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

#[cfg(test)]
mod tests;
