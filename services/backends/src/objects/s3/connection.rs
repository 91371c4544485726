//! The client: where the store is, who asks, whom it trusts, and how long an answer may take.

use std::{fs, panic, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::{Builder, Credentials, SharedHttpClient, StalledStreamProtectionConfig},
};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use camino::Utf8Path;
use shared::config::S3;

use crate::objects::ObjectError;

const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Bodies may take as long as this rate needs, on top of the time for an answer.
const SLOWEST_BYTES_PER_S: u64 = 1 << 20;

pub(super) async fn connect(config: &S3) -> Result<Client, ObjectError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(config.region.clone()));
    if let (Some(id), Some(secret)) = (&config.access_key_id, &config.secret_access_key) {
        loader =
            loader.credentials_provider(Credentials::new(id.reveal(), secret.reveal(), None, None, "configuration"));
    }
    let settings = Builder::from(&loader.load().await)
        .force_path_style(config.path_style)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
        .timeout_config(deadline(Duration::from_millis(config.timeout_ms), 0))
        // Each piece of a body has a deadline where it is read, and each request with one has a longer deadline.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let settings = match &config.endpoint {
        Some(endpoint) => settings.endpoint_url(endpoint),
        None => settings,
    };
    let settings = match &config.ca_file {
        Some(ca_file) => settings.http_client(client_that_trusts(ca_file)?),
        None => settings,
    };
    Ok(Client::from_conf(settings.build()))
}

/// How long a call may take with all its attempts, when it sends or copies this many bytes.
pub(super) fn deadline(answer: Duration, size_bytes: u64) -> TimeoutConfig {
    let whole = answer + Duration::from_millis(size_bytes * 1000 / SLOWEST_BYTES_PER_S);
    // A server that just went away must not cost the whole time, or no attempt is left for the one that takes its place.
    TimeoutConfig::builder().connect_timeout(answer / ATTEMPTS).operation_timeout(whole).build()
}

fn client_that_trusts(ca_file: &Utf8Path) -> Result<SharedHttpClient, ObjectError> {
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| ObjectError::Unavailable {
        context: format!("objects.ca_file {ca_file} has no certificates in PEM that can be read"),
        source,
    };
    let pem = fs::read(ca_file).map_err(|error| unreadable(error.into()))?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(unreadable("no certificate begins in it".into()));
    }
    let trusted = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trusted).build().map_err(|error| unreadable(error.into()))?;
    // The client would read the certificates at the first request, and panic there about one that is broken.
    let connector = {
        let context = context.clone();
        move || Connector::builder().tls_provider(PROVIDER).tls_context(context).build()
    };
    panic::catch_unwind(connector).map_err(|_| unreadable("a certificate is broken".into()))?;
    Ok(aws_smithy_http_client::Builder::new().tls_provider(PROVIDER).tls_context(context).build_https())
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const PROVIDER: Provider = Provider::Rustls(CryptoMode::AwsLc);
