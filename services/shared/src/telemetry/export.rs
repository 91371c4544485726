//! Sending spans and log records by OTLP. The SDK does it on threads of its own, from queues that are bounded: whoever is
//! traced never waits, and what finds no room is dropped.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter, SdkLoggerProvider},
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter, SpanProcessor},
};

use super::{
    sampler::Keep,
    settings::{Protocol, Settings, Target},
};

/// A collector that comes and goes is told of once in this time at most.
const QUIET: Duration = Duration::from_mins(1);
/// The page, as a service.
const PAGE: &str = "imagesearch-page";
/// For what is left when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What exports, as far as something is to be exported.
pub(super) struct Providers {
    pub(super) traces: Option<SdkTracerProvider>,
    /// The spans of pages, which are made elsewhere.
    pub(super) page: Option<Arc<BatchSpanProcessor>>,
    pub(super) logs: Option<SdkLoggerProvider>,
}

impl Providers {
    /// # Errors
    /// When an endpoint is no address, or TLS can't be set up.
    pub(super) fn start(service: &str, settings: &Settings) -> Result<Self, ExporterBuildError> {
        let resource = resource(service, settings.service_name.as_deref());
        let (traces, logs) = (settings.traces.as_ref(), settings.logs.as_ref());
        let page = traces.map(page_processor).transpose()?.map(Arc::new);
        let traces = traces.map(|target| tracer_provider(target, settings, resource.clone())).transpose()?;
        let logs = logs.map(|target| logger_provider(target, resource)).transpose()?;
        Ok(Self { traces, page, logs })
    }

    /// Sends what is left, within two seconds.
    pub(super) async fn shutdown(&self) {
        let (traces, page, logs) = (self.traces.clone(), self.page.clone(), self.logs.clone());
        // They wait, and what they wait for may need this thread. That time was too short is not worth a word at the end.
        let traces = tokio::task::spawn_blocking(move || traces.map(|traces| traces.shutdown_with_timeout(LAST_WORDS)));
        let page = tokio::task::spawn_blocking(move || page.map(|page| page.shutdown_with_timeout(LAST_WORDS)));
        let logs = tokio::task::spawn_blocking(move || logs.map(|logs| logs.shutdown_with_timeout(LAST_WORDS)));
        let _ = tokio::join!(traces, page, logs);
    }
}

fn tracer_provider(
    target: &Target,
    settings: &Settings,
    resource: Resource,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = Watched { exporter: span_exporter(target)?, health: Health::new("traces") };
    let sampler = Keep(settings.sampler.clone());
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_resource(resource);
    Ok(provider.with_batch_exporter(exporter).build())
}

fn page_processor(target: &Target) -> Result<BatchSpanProcessor, ExporterBuildError> {
    let exporter = Watched { exporter: span_exporter(target)?, health: Health::new("traces of pages") };
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&resource(PAGE, Some(PAGE)));
    Ok(processor)
}

fn logger_provider(target: &Target, resource: Resource) -> Result<SdkLoggerProvider, ExporterBuildError> {
    let exporter = Watched { exporter: log_exporter(target)?, health: Health::new("logs") };
    Ok(SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

/// Who this is. What the variables say wins.
fn resource(service: &str, named: Option<&str>) -> Resource {
    let ours = [
        KeyValue::new("service.name", service.to_owned()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ];
    let named = named.map(|name| KeyValue::new("service.name", name.to_owned()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(ours)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(named)
        .build()
}

fn span_exporter(target: &Target) -> Result<opentelemetry_otlp::SpanExporter, ExporterBuildError> {
    let builder = opentelemetry_otlp::SpanExporter::builder();
    match target {
        Target { protocol: Protocol::HttpProtobuf, tls, timeout, .. } => match tls.http_client(*timeout)? {
            Some(client) => builder.with_http().with_http_client(client).build(),
            None => builder.with_http().build(),
        },
        Target { is_encrypted: false, .. } => builder.with_tonic().build(),
        Target { tls, .. } => builder.with_tonic().with_tls_config(tls.of_grpc()?).build(),
    }
}

fn log_exporter(target: &Target) -> Result<opentelemetry_otlp::LogExporter, ExporterBuildError> {
    let builder = opentelemetry_otlp::LogExporter::builder();
    match target {
        Target { protocol: Protocol::HttpProtobuf, tls, timeout, .. } => match tls.http_client(*timeout)? {
            Some(client) => builder.with_http().with_http_client(client).build(),
            None => builder.with_http().build(),
        },
        Target { is_encrypted: false, .. } => builder.with_tonic().build(),
        Target { tls, .. } => builder.with_tonic().with_tls_config(tls.of_grpc()?).build(),
    }
}

/// An exporter whose failing and recovering is told, each once.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    health: Health,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let records = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.health.note(&outcome, records);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        let outcome = self.exporter.export(batch).await;
        self.health.note(&outcome, records);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[derive(Debug)]
struct Health {
    signal: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Spans or records that were not taken since it was last told that all is well.
    lost: usize,
    is_told: bool,
    told_at: Option<Instant>,
}

impl Health {
    fn new(signal: &'static str) -> Self {
        Self { signal, state: Mutex::default() }
    }

    /// Logs when exporting begins to fail, and when it works again.
    fn note(&self, outcome: &OTelSdkResult, records: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Err(error) => {
                state.lost += records;
                if !state.is_told && state.told_at.is_none_or(|told| told.elapsed() > QUIET) {
                    state.is_told = true;
                    state.told_at = Some(Instant::now());
                    tracing::warn!(
                        signal = self.signal, %error,
                        "cannot export by OTLP; it is tried on, and what finds no room meanwhile is dropped"
                    );
                }
            }
            Ok(()) if state.is_told => {
                tracing::info!(signal = self.signal, lost = state.lost, "exporting by OTLP again");
                state.is_told = false;
                state.lost = 0;
            }
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn an_exporter_that_comes_and_goes_is_told_of_twice_a_minute_at_most() {
        let told = crate::telemetry::testing::logged("info", || {
            let health = Health::new("traces");
            for _ in 0..1000 {
                health.note(&Err(OTelSdkError::InternalFailure("refused".to_owned())), 512);
                health.note(&Ok(()), 512);
            }
        });
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((&told[0]["signal"], &told[0]["level"]), (&"traces".into(), &"WARN".into()));
        assert_eq!(told[1]["lost"], 512);
    }

    #[test]
    fn the_variables_name_the_service_before_the_role_does() {
        let name = |resource: Resource| resource.get(&"service.name".into()).map(|name| name.to_string());
        assert_eq!(name(resource("imagesearch-searchapi", None)).as_deref(), Some("imagesearch-searchapi"));
        assert_eq!(name(resource("imagesearch-searchapi", Some("pictures"))).as_deref(), Some("pictures"));
    }
}
