//! Where a deployment keeps things: for each of the three stores, an embedded adapter (the default) and a distributed one.
//! Doc comments become docs/configuration.md, so each key has one.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Originals, records and variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a process has one of these")]
pub enum Objects {
    /// A folder on this machine.
    Folder {
        /// The folder; `<data_dir>/objects` when absent.
        #[schemars(with = "Option<String>")]
        path: Option<Utf8PathBuf>,
    },
    /// A bucket of MinIO, AWS or any other that speaks S3.
    S3(S3),
}

/// A bucket of an object store that speaks S3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// URL of the store; AWS's own for the region when absent.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket stands in the path of URLs, not in the host name; MinIO and most others want it.
    pub path_style: bool,
    /// Put before every key, so that a bucket can be shared.
    pub prefix: Option<String>,
    /// Access key; without one, the usual chain of the AWS SDK: environment, web identity, profile, instance.
    pub access_key_id: Option<Secret>,
    /// Secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// Certificates (PEM) to trust instead of the system's.
    #[schemars(with = "Option<String>")]
    pub ca_file: Option<Utf8PathBuf>,
    /// `AES256` or `aws:kms`: asks the store to encrypt what it keeps.
    pub server_side_encryption: Option<String>,
    /// The key for `aws:kms`; the account's own when absent.
    pub kms_key_id: Option<String>,
    /// Make the bucket when it isn't there.
    pub create_bucket: bool,
    /// Larger objects are sent in parts of this size, at least 5 MiB.
    pub part_size_bytes: u64,
    /// How long one request to the store may take to be answered.
    pub timeout_ms: u64,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            bucket: "imagesearch".into(),
            endpoint: None,
            region: "us-east-1".into(),
            path_style: true,
            prefix: None,
            access_key_id: None,
            secret_access_key: None,
            ca_file: None,
            server_side_encryption: None,
            kms_key_id: None,
            create_bucket: false,
            part_size_bytes: 8 << 20,
            timeout_ms: 10_000,
        }
    }
}

/// Jobs and task states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a process has one of these")]
pub enum Queue {
    /// One SQLite file on this machine.
    Sqlite {
        /// The file; `<data_dir>/queue.sqlite` when absent.
        #[schemars(with = "Option<String>")]
        path: Option<Utf8PathBuf>,
        /// Waiting jobs; more are answered 429 with Retry-After.
        #[serde(default = "default_max_jobs")]
        max_jobs: u64,
        /// Ended tasks that are kept for lists.
        #[serde(default = "default_keep_tasks")]
        keep_tasks: u64,
    },
    /// NATS with JetStream, 2.10 or later.
    Jetstream(Jetstream),
}

impl Queue {
    /// Jobs that the queue holds at most.
    pub fn max_jobs(&self) -> u64 {
        match self {
            Self::Sqlite { max_jobs, .. } => *max_jobs,
            Self::Jetstream(jetstream) => jetstream.max_jobs,
        }
    }
}

/// NATS with JetStream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jetstream {
    /// Servers, as `nats://host:4222` or `tls://host:4222`.
    pub servers: Vec<String>,
    /// First part of the names of streams, buckets and subjects; deployments that share a server differ in it.
    pub name: String,
    /// Copies of streams and buckets: 1, 3 or 5.
    pub replicas: u64,
    /// `file` or `memory`.
    pub storage: JetstreamStorage,
    /// The cluster of servers that keeps the streams; any when absent.
    pub placement_cluster: Option<String>,
    /// Only servers with all of these tags keep the streams.
    pub placement_tags: Vec<String>,
    /// Waiting jobs; more are answered 429 with Retry-After.
    pub max_jobs: u64,
    /// Ended tasks that are kept for lists.
    pub keep_tasks: u64,
    /// Ended tasks are kept no longer than this, in seconds.
    pub keep_tasks_for_s: u64,
    /// A job that is published again within this time is one job, in seconds.
    pub duplicate_window_s: u64,
    /// How long one request to the server may take.
    pub timeout_ms: u64,
    /// User name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A token, instead of a user.
    pub token: Option<Secret>,
    /// A NATS credentials file, instead of a user.
    #[schemars(with = "Option<String>")]
    pub credentials_file: Option<Utf8PathBuf>,
    /// Certificates (PEM) to trust instead of the system's; with it, TLS is required.
    #[schemars(with = "Option<String>")]
    pub ca_file: Option<Utf8PathBuf>,
    /// Client certificate (PEM), for mutual TLS.
    #[schemars(with = "Option<String>")]
    pub certificate_file: Option<Utf8PathBuf>,
    /// Key (PEM) of the client certificate.
    #[schemars(with = "Option<String>")]
    pub key_file: Option<Utf8PathBuf>,
}

impl Default for Jetstream {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".into()],
            name: "imagesearch".into(),
            replicas: 1,
            storage: JetstreamStorage::File,
            placement_cluster: None,
            placement_tags: Vec::new(),
            max_jobs: default_max_jobs(),
            keep_tasks: default_keep_tasks(),
            keep_tasks_for_s: 7 * 24 * 3600,
            duplicate_window_s: 120,
            timeout_ms: 5_000,
            user: None,
            password: None,
            token: None,
            credentials_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Jetstream {
    /// The stream of jobs that wait or are in flight, of the deployment with this name. The operator asks for it too.
    pub fn jobs_stream(name: &str) -> String {
        format!("{name}-jobs")
    }

    /// The bucket in which `imagesearch model fill` tells the operator how far it is.
    pub fn models_bucket(name: &str) -> String {
        format!("{name}-models")
    }
}

/// Where a NATS server keeps a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JetstreamStorage {
    /// On disk.
    #[default]
    File,
    /// In memory: gone with the server.
    Memory,
}

/// Vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a process has one of these")]
pub enum Index {
    /// Qdrant Edge, in process.
    QdrantEdge {
        /// The folder; `<data_dir>/index` when absent.
        #[schemars(with = "Option<String>")]
        path: Option<Utf8PathBuf>,
    },
    /// Milvus, 2.3.5 or later.
    Milvus(Milvus),
}

/// Milvus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Milvus {
    /// `http://host:19530`, or `https://…` for TLS.
    pub url: String,
    /// The database; it has to be there.
    pub database: String,
    /// First part of the collections' names; deployments that share a database differ in it.
    pub collection_prefix: String,
    /// User name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A token or API key, instead of a user.
    pub token: Option<Secret>,
    /// Certificates (PEM) to trust instead of the system's.
    #[schemars(with = "Option<String>")]
    pub ca_file: Option<Utf8PathBuf>,
    /// Client certificate (PEM), for mutual TLS.
    #[schemars(with = "Option<String>")]
    pub certificate_file: Option<Utf8PathBuf>,
    /// Key (PEM) of the client certificate.
    #[schemars(with = "Option<String>")]
    pub key_file: Option<Utf8PathBuf>,
    /// HNSW: neighbours of a point in the graph.
    pub hnsw_m: u64,
    /// HNSW: candidates while the graph is built.
    pub hnsw_ef_construction: u64,
    /// HNSW: candidates while it is searched; at least as many as results are asked for are used.
    pub hnsw_ef: u64,
    /// Copies of a collection in memory, each on query nodes of its own.
    pub replicas: u64,
    /// How long one request to the server may take.
    pub timeout_ms: u64,
}

impl Default for Milvus {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:19530".into(),
            database: "default".into(),
            collection_prefix: "imagesearch".into(),
            user: None,
            password: None,
            token: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            hnsw_m: 16,
            hnsw_ef_construction: 200,
            hnsw_ef: 64,
            replicas: 1,
            timeout_ms: 10_000,
        }
    }
}

pub(super) fn default_max_jobs() -> u64 {
    100_000
}

pub(super) fn default_keep_tasks() -> u64 {
    100_000
}
