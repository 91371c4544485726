//! The HTTP client behind every command that talks to a server, whatever that server's deployment is.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use shared::telemetry;
use tracing::{Instrument, Span, field::Empty};
use url::Url;

use crate::{
    cli::ServerArgs,
    exit::{CommandError, Failure},
};

/// Longest wait for a server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of a server that is working on an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// How often a server that is away is asked again: for a minute in all, as long as a restart may take.
const MAX_TRIES: u32 = 7;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
}

/// What a server says of an error (RFC 9457).
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ProblemBody {
    title: String,
    detail: Option<String>,
    request_id: Option<String>,
}

impl Client {
    pub(crate) fn new(args: &ServerArgs) -> anyhow::Result<Self> {
        let mut headers = header::HeaderMap::new();
        if let Some(key) = read_key(args)? {
            let mut bearer = header::HeaderValue::from_str(&format!("Bearer {key}"))
                .context("the API key has characters that no key has")?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("imagesearch/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, server: args.server.clone() })
    }

    /// A request to a path of the server.
    pub(crate) fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let url = self.server.join(path).with_context(|| format!("{} is not a server address", self.server))?;
        Ok(self.http.request(method, url))
    }

    /// Sends a request, made anew for each try, until the server takes or refuses it: one that is away for a moment is
    /// waited for, and a full one for as long as it is full.
    pub(crate) async fn send_patiently(
        &self,
        request: impl AsyncFn() -> anyhow::Result<RequestBuilder>,
    ) -> anyhow::Result<Response> {
        let mut tries = 0;
        loop {
            let sent = self.send_any(request().await?).await;
            let wait = match &sent {
                Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => retry_after(response),
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE && tries < MAX_TRIES => {
                    tries += 1;
                    retry_after(response)
                }
                Err(_) if tries < MAX_TRIES => {
                    tries += 1;
                    FIRST_WAIT * (1 << tries)
                }
                _ => return sent,
            };
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
    }

    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// Sends a request and reads its JSON answer; anything but success becomes an error with an exit code.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        self.read(self.send_any(request).await?).await
    }

    /// Reads a JSON answer; anything but success becomes an error with an exit code.
    pub(crate) async fn read<T: DeserializeOwned>(&self, response: Response) -> anyhow::Result<T> {
        if !response.status().is_success() {
            return Err(refusal(response).await.into());
        }
        response.json().await.with_context(|| format!("{} answered with something that is not understood", self.server))
    }

    /// Sends a request, as a part of the trace that is under way, and returns whatever the server answers.
    pub(crate) async fn send_any(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = request.build().map_err(|error| self.unreachable(&error))?;
        let span = request_span(&request);
        let sent = async {
            let mut request = request;
            request.headers_mut().extend(telemetry::headers());
            self.http.execute(request).await
        };
        let outcome = sent.instrument(span.clone()).await;
        let fault = match &outcome {
            Ok(response) => {
                let status = response.status();
                span.record("http.response.status_code", i64::from(status.as_u16()));
                (!status.is_success()).then(|| status.as_str().to_owned())
            }
            Err(_) => Some("unreachable".to_owned()),
        };
        if let Some(fault) = fault {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", fault);
        }
        outcome.map_err(|error| self.unreachable(&error).into())
    }

    fn unreachable(&self, error: &reqwest::Error) -> CommandError {
        let (server, reason) = (&self.server, innermost(error));
        CommandError::new(
            Failure::Unreachable,
            format!(
                "cannot reach {server} ({reason}); is it running? `imagesearch up` starts one, `--server` names another"
            ),
        )
    }
}

fn request_span(request: &reqwest::Request) -> Span {
    tracing::info_span!(
        target: telemetry::TRACE,
        "HTTP",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        "error.type" = Empty,
        http.request.method = request.method().as_str(),
        http.response.status_code = Empty,
        server.address = request.url().host_str(),
        server.port = request.url().port_or_known_default().map(i64::from),
        url.path = request.url().path(),
    )
}

/// The error that a refusing answer stands for.
pub(crate) async fn refusal(response: Response) -> CommandError {
    let status = response.status();
    refused(status, &response.bytes().await.unwrap_or_default())
}

/// The same, when the body is read already.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> CommandError {
    let problem: ProblemBody = serde_json::from_slice(body).unwrap_or_default();
    let failure = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden,
        StatusCode::NOT_FOUND => Failure::NotFound,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Failure::Unreachable,
        _ => Failure::Partial,
    };
    let what = problem.detail.filter(|detail| !detail.is_empty()).unwrap_or(problem.title);
    let what = if what.is_empty() { format!("the server answered {status}") } else { what };
    let hint =
        if status == StatusCode::UNAUTHORIZED { "; put a key into IMAGESEARCH_API_KEY or --key-file" } else { "" };
    let request = problem.request_id.map(|id| format!(" (request {id})")).unwrap_or_default();
    CommandError::new(failure, format!("{what}{hint}{request}"))
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Keys come from a file or a variable, never from an argument that every process could see.
fn read_key(args: &ServerArgs) -> anyhow::Result<Option<String>> {
    let key = match &args.key_file {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read the key file {path}"))?),
        None => std::env::var("IMAGESEARCH_API_KEY").ok(),
    };
    Ok(key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
