//! Logs, traces and metrics of a process.

mod context;
mod export;
mod filter;
mod json;
mod page;
mod sampler;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::trace::SdkTracer;
use prometheus_client::{metrics::info::Info, registry::Registry};
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::filter_fn, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use self::{
    context::{TRACE, carried, carried_work, continue_from, headers, is_traced, link, traceparent},
    filter::{InvalidFilter, LogFilter},
    page::{PageAction, PageSpan},
};
pub(crate) use self::{
    context::{continue_from_headers, recorded_trace_id, server_timing},
    page::send_page_spans,
};
use self::{export::Providers, settings::Settings};
use crate::{
    config::{Log, LogFormat},
    http::HttpMetrics,
    metrics::{self, Exposition, ProcessCollector, RuntimeCollector},
};

/// Fields of spans that belong to every log record within.
const RECORD_FIELDS: [&str; 4] = ["request_id", "method", "path", "key_id"];
/// Whatever sends log records must not log about it by sending log records.
const SENDERS: [&str; 7] = ["h2", "hyper", "opentelemetry", "reqwest", "rustls", "tonic", "tower"];

/// What sends spans and log records, once a process.
static PROVIDERS: OnceLock<Providers> = OnceLock::new();

type BoxedLayer = Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>;

/// Logs or traces could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter can't be used")]
    Filter(#[from] InvalidFilter),
    #[error("traces or logs can't be exported as the variables OTEL_… say")]
    Export(#[from] ExporterBuildError),
    #[error("logs were started twice in one process")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard output, and exporting traces and logs as the variables `OTEL_…` say: once a process, within
/// its runtime. Panics become log lines too. `service` is the process's name unless a variable gives it another.
pub fn start(service: &str, log: &Log) -> Result<LogFilter, TelemetryError> {
    let settings = Settings::of_process();
    let providers = Providers::start(service, &settings)?;
    let filter = LogFilter::new(&log.filter)?;
    let readable = match log.format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let mut layers = exporting(&providers, &filter)?;
    layers.push(if readable {
        filter.before(tracing_subscriber::fmt::layer().with_ansi(std::io::stdout().is_terminal()), |_| true)?
    } else {
        filter.before(stdout_lines(), |_| true)?
    });
    tracing_subscriber::registry().with(layers).try_init().map_err(TelemetryError::Twice)?;
    let _ = PROVIDERS.set(providers);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    for reason in settings.ignored {
        tracing::warn!(reason, "a variable is left out");
    }
    Ok(filter)
}

/// The same for a command that logs nothing: traces alone.
pub fn start_traces(service: &str) -> Result<(), TelemetryError> {
    let settings = Settings { logs: None, ..Settings::of_process() };
    if settings.traces.is_some() {
        let providers = Providers::start(service, &settings)?;
        let filter = LogFilter::new("off")?;
        let layers = exporting(&providers, &filter)?;
        tracing_subscriber::registry().with(layers).try_init().map_err(TelemetryError::Twice)?;
        let _ = PROVIDERS.set(providers);
    }
    Ok(())
}

/// Sends what is left of spans and log records, within two seconds. Nothing is sent after that.
pub async fn shutdown() {
    if let Some(providers) = PROVIDERS.get() {
        providers.shutdown().await;
    }
}

fn exporting(providers: &Providers, filter: &LogFilter) -> Result<Vec<BoxedLayer>, InvalidFilter> {
    let mut layers = Vec::new();
    if let Some(traces) = &providers.traces {
        layers.push(traced(traces.tracer("imagesearch")));
    }
    if let Some(logs) = &providers.logs {
        let records = OpenTelemetryTracingBridge::builder(logs)
            .with_tracing_span_attributes(TracingSpanAttributes::allowlist(RECORD_FIELDS))
            .build();
        layers.push(filter.before(records, is_not_of_sender)?);
    }
    Ok(layers)
}

/// Makes spans of traces of the spans that are meant for it.
fn traced(tracer: SdkTracer) -> BoxedLayer {
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_tracer(tracer);
    let meant = filter_fn(|metadata| metadata.is_span() && metadata.target() == TRACE);
    layer.with_filter(meant.with_max_level_hint(LevelFilter::INFO)).boxed()
}

fn is_not_of_sender(metadata: &Metadata<'_>) -> bool {
    let part = metadata.target().split([':', '-', '_']).next().unwrap_or_default();
    !SENDERS.contains(&part)
}

fn stdout_lines() -> tracing_subscriber::fmt::Layer<tracing_subscriber::Registry, JsonFields, json::Json> {
    tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(json::Json)
}

/// The metrics of one process. Everybody registers theirs at start and keeps the handles.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    http: HttpMetrics,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        metrics::BUILD.register(&mut registry, Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register_collector(Box::new(ProcessCollector));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            registry.register_collector(Box::new(RuntimeCollector(runtime.metrics())));
        }
        metrics::register_all(&mut registry);
        let http = HttpMetrics::register(&mut registry);
        Self { registry: Arc::new(Mutex::new(registry)), http }
    }

    /// Registers metrics: `metrics.register(|registry| registry.register("name", "help", counter.clone()))`.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// All metrics as text.
    pub(crate) fn encode(&self, exposition: Exposition) -> Result<String, std::fmt::Error> {
        exposition.encode(&self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
