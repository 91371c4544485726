//! Logs and metrics of a process.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{encoding::text, registry::Registry};

use crate::http::HttpMetrics;

/// The metrics of one process. Everybody registers theirs at start and keeps the handles.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    http: HttpMetrics,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
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
