//! What a worker may use, from the configuration.

use std::time::Duration;

use shared::config::Config;

use crate::{fault::RetryPolicy, fetch::FetchLimits};

/// The longest silence of a server that an image is fetched from.
const FETCH_IDLE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) batch_size: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) lease: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) max_image_bytes: u64,
    /// Originals in memory at once.
    pub(crate) max_originals: usize,
    pub(crate) keep_exif_date: bool,
    pub(crate) keep_exif_location: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) fetch: FetchLimits,
    pub(crate) allow_networks: Vec<String>,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let worker = &config.ingestworker;
        let max_image_bytes = config.ingestapi.max_image_bytes;
        let total = Duration::from_millis(worker.fetch.timeout_ms);
        let decoders = config.model.threads.unwrap_or_else(embedding::cpu_limit);
        Self {
            batch_size: worker.batch_size.max(1),
            max_in_flight: worker.max_in_flight.max(1),
            lease: Duration::from_millis(worker.lease_ms),
            drain_timeout: Duration::from_millis(worker.drain_timeout_ms),
            max_image_bytes,
            // One more than can be decoded, so that the next is there when a decoder becomes free.
            max_originals: decoders + 1,
            keep_exif_date: worker.keep_exif_date,
            keep_exif_location: worker.keep_exif_location,
            retry: RetryPolicy {
                max_attempts: worker.max_attempts.max(1),
                min: Duration::from_millis(worker.retry_min_ms),
                max: Duration::from_millis(worker.retry_max_ms),
            },
            fetch: FetchLimits {
                max_bytes: max_image_bytes,
                max_redirects: worker.fetch.max_redirects,
                total,
                idle: total.min(FETCH_IDLE),
            },
            allow_networks: worker.fetch.allow_networks.clone(),
        }
    }
}
