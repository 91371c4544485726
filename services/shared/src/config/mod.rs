//! Typed, validated configuration: defaults, then `conf/<role>.yaml`, then `IMAGESEARCH_…__…` variables.

use std::net::SocketAddr;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// Everything that can be set. Each section is read by the roles that its comment names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Everything that the embedded stores keep lies below this folder.
    pub data_dir: Utf8PathBuf,
    pub ingestapi: IngestApi,
    pub ingestworker: IngestWorker,
    pub searchapi: SearchApi,
    pub cdnapi: CdnApi,
    pub frontend: Frontend,
    pub admin: Admin,
    pub auth: Auth,
    pub http: Http,
    pub model: Model,
    pub objects: Objects,
    pub queue: Queue,
    pub index: Index,
    pub log: Log,
}

impl Config {
    /// Where the hashed API keys are.
    pub fn keys_file(&self) -> Utf8PathBuf {
        self.auth.keys_file.clone().unwrap_or_else(|| self.data_dir.join("keys.json"))
    }
}

/// Accepting uploads, changes and deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestApi {
    pub listen: SocketAddr,
    /// The largest image that is taken.
    pub max_image_bytes: u64,
    /// The largest request: many files, or a long bulk list.
    pub max_request_bytes: u64,
    /// URLs or bulk lines in one request.
    pub max_items: usize,
    /// How often stored images are compared with index and tasks, in seconds.
    pub sweep_interval_s: u64,
}

/// Decoding, embedding, indexing, fetching.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestWorker {
    /// Images embedded at once.
    pub batch_size: usize,
    /// Jobs taken from the queue and not yet indexed.
    pub max_in_flight: usize,
    /// A job that is not extended for so long is another worker's.
    pub lease_ms: u64,
    /// Tries before a job is given up as `retries_exhausted`.
    pub max_attempts: u32,
    pub retry_min_ms: u64,
    pub retry_max_ms: u64,
    /// How long a drain may take before what is in flight is handed back.
    pub drain_timeout_ms: u64,
    /// The largest number of pixels that is decoded.
    pub max_pixels: u64,
    /// Keep the EXIF date as the field `exif_date`.
    pub keep_exif_date: bool,
    /// Keep the EXIF position as `latitude` and `longitude`.
    pub keep_exif_location: bool,
    pub fetch: Fetch,
}

/// Fetching images by URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    pub timeout_ms: u64,
    pub max_redirects: usize,
    /// Networks that may be reached although they are private (CIDR), for example `10.1.0.0/16`.
    pub allow_networks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchApi {
    pub listen: SocketAddr,
    /// Vectors of texts asked before that are kept.
    pub text_cache_entries: u64,
    /// The largest image that is taken as a query.
    pub max_query_image_bytes: u64,
    pub max_limit: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CdnApi {
    pub listen: SocketAddr,
    /// Variants rendered at once.
    pub max_concurrent_renders: usize,
    /// Sizes in pixels that a wanted width or height is snapped up to.
    pub variant_sizes: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Frontend {
    pub listen: SocketAddr,
}

/// `/metrics`, `/healthz`, `/readyz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mode: AuthMode,
    /// Hashed API keys; `<data_dir>/keys.json` when absent.
    pub keys_file: Option<Utf8PathBuf>,
    /// Reading (search, list, images) needs no key.
    pub public_read: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Keys are asked for as soon as there is one; without any, only loopback is served.
    #[default]
    Keys,
    /// Anybody may do anything.
    None,
}

/// Limits of every HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Time to a response's first byte; uploads and streams are bounded by `idle_timeout_ms` instead.
    pub request_timeout_ms: u64,
    /// A client that sends or takes nothing for so long is cut off.
    pub idle_timeout_ms: u64,
    /// Requests under way in one server; more are answered 503 with Retry-After.
    pub max_concurrent_requests: usize,
    /// How long requests under way may take to end after SIGTERM.
    pub shutdown_timeout_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// `bundled`, a folder, `https://…` archive, or `hf://org/repo@revision[/subfolder]`.
    pub source: String,
    /// SHA-256 of the archive, when the source is one.
    pub sha256: Option<String>,
    /// Sent to the model hub only.
    pub token: Option<Secret>,
    /// Fetched models; `<data_dir>/models` when absent.
    pub cache_dir: Option<Utf8PathBuf>,
    /// Processors used for embedding; those of the cgroup when absent.
    pub threads: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objects {
    /// A folder; `<data_dir>/objects` when no path is given.
    Folder { path: Option<Utf8PathBuf> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Queue {
    /// One SQLite file; `<data_dir>/queue.sqlite` when no path is given.
    Sqlite {
        path: Option<Utf8PathBuf>,
        #[serde(default = "default_max_jobs")]
        max_jobs: u64,
        /// Ended tasks that are kept for lists.
        #[serde(default = "default_keep_tasks")]
        keep_tasks: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Index {
    /// In process; `<data_dir>/index` when no path is given.
    QdrantEdge { path: Option<Utf8PathBuf> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// As in `RUST_LOG`: `info`, `info,backends=debug`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Readable on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

/// A value that never shows: not in logs, not in `imagesearch config`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

fn default_max_jobs() -> u64 {
    100_000
}

fn default_keep_tasks() -> u64 {
    100_000
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            ingestapi: IngestApi::default(),
            ingestworker: IngestWorker::default(),
            searchapi: SearchApi::default(),
            cdnapi: CdnApi::default(),
            frontend: Frontend::default(),
            admin: Admin::default(),
            auth: Auth::default(),
            http: Http::default(),
            model: Model::default(),
            objects: Objects::Folder { path: None },
            queue: Queue::Sqlite { path: None, max_jobs: default_max_jobs(), keep_tasks: default_keep_tasks() },
            index: Index::QdrantEdge { path: None },
            log: Log::default(),
        }
    }
}

impl Default for IngestApi {
    fn default() -> Self {
        Self {
            listen: loopback(8000),
            max_image_bytes: 100 << 20,
            max_request_bytes: 4 << 30,
            max_items: 10_000,
            sweep_interval_s: 300,
        }
    }
}

impl Default for IngestWorker {
    fn default() -> Self {
        Self {
            batch_size: 16,
            max_in_flight: 64,
            lease_ms: 30_000,
            max_attempts: 8,
            retry_min_ms: 500,
            retry_max_ms: 60_000,
            drain_timeout_ms: 20_000,
            max_pixels: 100_000_000,
            keep_exif_date: false,
            keep_exif_location: false,
            fetch: Fetch::default(),
        }
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self { timeout_ms: 30_000, max_redirects: 5, allow_networks: Vec::new() }
    }
}

impl Default for SearchApi {
    fn default() -> Self {
        Self { listen: loopback(8001), text_cache_entries: 10_000, max_query_image_bytes: 20 << 20, max_limit: 1000 }
    }
}

impl Default for CdnApi {
    fn default() -> Self {
        Self {
            listen: loopback(8002),
            max_concurrent_renders: 2,
            variant_sizes: vec![64, 128, 240, 320, 480, 640, 960, 1280, 1920, 2560],
        }
    }
}

impl Default for Frontend {
    fn default() -> Self {
        Self { listen: loopback(3000) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self { mode: AuthMode::Keys, keys_file: None, public_read: false }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            request_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            max_concurrent_requests: 512,
            shutdown_timeout_ms: 20_000,
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self { source: "bundled".into(), sha256: None, token: None, cache_dir: None, threads: None }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Auto }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
