//! Logs and metrics of a process.

mod json;
mod process;

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};
use tracing_subscriber::{
    EnvFilter, Layer, filter::ParseError, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    config::{Log, LogFormat},
    http::HttpMetrics,
};

/// Logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter {filter:?} can't be used; write it as info,backends=debug")]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
    #[error("logs were started twice in one process")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard output, once a process. Panics become log lines too.
pub fn start_logs(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&log.filter)
        .map_err(|source| TelemetryError::Filter { filter: log.filter.clone(), source })?;
    let readable = match log.format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer();
    let lines = if readable {
        lines.with_ansi(std::io::stdout().is_terminal()).boxed()
    } else {
        lines.fmt_fields(JsonFields::new()).event_format(json::Json).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    Ok(())
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
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("imagesearch_build", "What is running", build);
        registry.register_collector(Box::new(process::ProcessCollector));
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

    /// All metrics as OpenMetrics text.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(body)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
