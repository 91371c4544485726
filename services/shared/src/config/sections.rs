//! The sections of the configuration. Doc comments become docs/configuration.md, so each key has one.

use std::{collections::BTreeMap, net::SocketAddr};

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Accepting uploads, changes and deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestApi {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The largest image that is taken, in bytes.
    pub max_image_bytes: u64,
    /// The largest request, in bytes: many files, or a long bulk list.
    pub max_request_bytes: u64,
    /// URLs or bulk lines in one request.
    pub max_items: usize,
    /// How often stored images are compared with index and tasks, in seconds.
    pub sweep_interval_s: u64,
    /// Stored bytes that no image names are removed when they are older, in seconds: longer than an upload that has sent
    /// all its bytes takes to end, however busy the stores are.
    pub stray_after_s: u64,
}

/// Decoding, embedding, indexing, fetching.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The wait before the first retry; it doubles with each.
    pub retry_min_ms: u64,
    /// The longest wait before a retry.
    pub retry_max_ms: u64,
    /// How long a drain may take before what is in flight is handed back.
    pub drain_timeout_ms: u64,
    /// The largest number of pixels that is decoded.
    pub max_pixels: u64,
    /// Keep the EXIF date as the field `exif_date`.
    pub keep_exif_date: bool,
    /// Keep the EXIF position as `latitude` and `longitude`.
    pub keep_exif_location: bool,
    /// Fetching images by URL.
    pub fetch: Fetch,
}

/// Fetching images by URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fetch {
    /// How long one image may take, redirects included.
    pub timeout_ms: u64,
    /// Redirects that are followed.
    pub max_redirects: usize,
    /// Networks that may be reached although they are private (CIDR), for example `10.1.0.0/16`.
    pub allow_networks: Vec<String>,
}

/// Searching and listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchApi {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Vectors of texts asked before that are kept.
    pub text_cache_entries: u64,
    /// The largest image that is taken as a query, in bytes.
    pub max_query_image_bytes: u64,
    /// The largest `limit` of a search or a list.
    pub max_limit: usize,
}

/// Serving originals and resized copies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CdnApi {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Variants rendered at once.
    pub max_concurrent_renders: usize,
    /// Sizes in pixels that a wanted width or height is snapped up to.
    pub variant_sizes: Vec<u32>,
}

/// The UI, and everything else on one origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Frontend {
    /// Address and port to listen on.
    pub listen: SocketAddr,
}

/// `/metrics`, `/healthz`, `/readyz`, `/log-filter`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port to listen on.
    pub listen: SocketAddr,
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `keys`: keys are asked for as soon as there is one; without any, only loopback is served. `none`: anybody may do
    /// anything.
    pub mode: AuthMode,
    /// Hashed API keys; `<data_dir>/keys.json` when absent.
    #[schemars(with = "Option<String>")]
    pub keys_file: Option<Utf8PathBuf>,
    /// Reading (search, list, images) needs no key.
    pub public_read: bool,
}

/// Whether keys are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Keys are asked for as soon as there is one; without any, only loopback is served.
    #[default]
    Keys,
    /// Anybody may do anything.
    None,
}

/// Limits of every HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Time to a response's first byte; uploads and streams are bounded by `idle_timeout_ms` instead.
    pub request_timeout_ms: u64,
    /// A client that sends or takes nothing for so long is cut off.
    pub idle_timeout_ms: u64,
    /// Connections open in one server; more wait until one of these ends.
    pub max_connections: usize,
    /// Requests under way in one server; more are answered 503 with Retry-After.
    pub max_concurrent_requests: usize,
    /// How long requests under way may take to end after SIGTERM.
    pub shutdown_timeout_ms: u64,
}

/// The model that embeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// `bundled`, a folder, `https://…` archive, `hf://org/repo@revision[/subfolder]`, or `s3://bucket[/folder]`.
    pub source: String,
    /// SHA-256 of the archive, when the source is one; or, in a file, a mapping of the model's files to theirs.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<ModelChecksums>,
    /// The model hub behind `hf://`; the variable `HF_ENDPOINT`, or the public one, when absent.
    pub hub_endpoint: Option<String>,
    /// Sent to the model hub only; the variable `HF_TOKEN` when absent.
    pub token: Option<Secret>,
    /// Copies of models; `<data_dir>/models` when absent.
    #[schemars(with = "Option<String>")]
    pub cache_dir: Option<Utf8PathBuf>,
    /// Processors used for embedding; those of the cgroup when absent.
    pub threads: Option<usize>,
    /// After a change, how long the model of before stays loaded and its collection up to date, in seconds: until then going
    /// back takes a moment. Every upload is embedded twice meanwhile.
    pub keep_previous_s: u64,
    /// Of roles on their own: a second model, to change to or back from.
    pub beside: Beside,
}

/// A second model, whose collection uploads, changes and deletes go to as well: the one that a deployment changes to, or the
/// one before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Beside {
    /// As `model.source`; there is no second model when absent.
    pub source: Option<String>,
    /// As `model.sha256`.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<ModelChecksums>,
    /// The stored images are being brought into its collection (`imagesearch model fill`): `ingestapi` tells how far that is.
    pub fills: bool,
}

/// What the bytes of a model have to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected 64 hexadecimal digits, or a mapping of files to them")]
pub enum ModelChecksums {
    /// Of the archive that it comes in.
    Archive(String),
    /// Of some or all of its files, by their paths within it.
    Files(BTreeMap<String, String>),
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// As in `RUST_LOG`: `info`, `info,backends=debug`.
    pub filter: String,
    /// `auto`: readable on a terminal, JSON otherwise. Or `text`, `json`.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Readable on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}
