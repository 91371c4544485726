//! The connection to Milvus: what is asked of it ends by a deadline, and its faults are told in the port's terms.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use milvus::v2::{
    ClientV2, ConnectConfig, RetryConfig, TelemetryConfig,
    error::{Error, ServerError},
};
use shared::config;
use tokio::time::timeout;

use super::super::IndexError;

/// Attempts at one request, as far as its deadline allows them. The SDK would make 75, with no end set.
const MAX_ATTEMPTS: u32 = 20;
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// Codes of "index not found", of today and of 2.2.
const INDEX_NOT_FOUND: i32 = 700;
const INDEX_NOT_FOUND_ONCE: i32 = 25;

/// Shares one connection among its clones; reconnects by itself.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) sdk: ClientV2,
    timeout: Duration,
}

impl Client {
    pub(super) async fn connect(settings: &config::Milvus) -> Result<Self, IndexError> {
        // The SDK takes the process's choice of cryptography, and panics where none was made; an earlier one stays.
        let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let timeout = Duration::from_millis(settings.timeout_ms);
        let retry =
            RetryConfig::new().max_attempts(MAX_ATTEMPTS).max_retry_timeout(timeout).max_backoff(LONGEST_BACKOFF);
        let mut connect = ConnectConfig::new()
            .uri(settings.url.as_str())
            .database(settings.database.as_str())
            .connect_timeout(timeout)
            .rpc_timeout(timeout)
            .retry(retry)
            .telemetry(TelemetryConfig::new().enabled(false));
        if let Some(token) = &settings.token {
            connect = connect.token(token.reveal());
        } else if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            connect = connect.username(user.as_str()).password(password.reveal());
        }
        if let Some(file) = &settings.ca_file {
            connect = connect.ca_certificate(file.as_str());
        }
        if let (Some(certificate), Some(key)) = (&settings.certificate_file, &settings.key_file) {
            connect = connect.client_certificate(certificate.as_str()).client_key(key.as_str());
        }
        let context = "cannot connect to Milvus; check `url`, user or token, and certificates";
        let sdk = within(timeout, context, ClientV2::new(&connect)).boxed().await?;
        Ok(Self { sdk, timeout })
    }

    /// Does `work`, or fails when the deadline of a request has passed. The SDK's futures are large: they stay on the heap.
    pub(super) fn call<'a, T: 'a>(
        &self,
        context: &'a str,
        work: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, IndexError>> {
        within(self.timeout, context, work).boxed()
    }

    /// Bounds what takes several requests as one request is bounded: whoever waits for it hears of a slow server from here,
    /// not from a deadline of its own.
    pub(super) async fn bounded<T>(
        &self,
        context: &str,
        work: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        self.bounded_in_parts(context, 1, work).await
    }

    /// The same for what grows with its number of parts.
    pub(super) async fn bounded_in_parts<T>(
        &self,
        context: &str,
        parts: usize,
        work: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        let deadline = self.timeout.saturating_mul(u32::try_from(parts).unwrap_or(u32::MAX));
        timeout(deadline, work).await.unwrap_or_else(|late| Err(unavailable(context, late)))
    }
}

async fn within<T>(
    deadline: Duration,
    context: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, IndexError> {
    match timeout(deadline, work).await {
        Ok(result) => result.map_err(|source| unavailable(context, source)),
        Err(late) => Err(unavailable(context, late)),
    }
}

pub(super) fn unavailable(
    context: impl Into<String>,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> IndexError {
    IndexError::Unavailable { context: context.into(), source: source.into() }
}

/// Whether the server said that a field has no index yet.
pub(super) fn is_index_not_found(error: &Error) -> bool {
    let not_found = |error: &ServerError| {
        error.code() == INDEX_NOT_FOUND || error.code() == 0 && error.legacy_code() == INDEX_NOT_FOUND_ONCE
    };
    matches!(error, Error::Server(error) if not_found(error))
}
