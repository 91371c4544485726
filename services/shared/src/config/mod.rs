//! Typed, validated configuration: defaults, then `conf/<role>.yaml`, then `IMAGESEARCH_…__…` variables.

mod defaults;
mod docs;
mod environment;
mod error;
mod load;
mod schema;
mod secret;
mod sections;
mod stores;
mod validate;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use docs::markdown;
pub use error::{ConfigError, ConfigProblem, Origin};
pub use load::{Source, load};
pub use secret::Secret;
pub use sections::{
    Admin, Auth, AuthMode, Beside, CdnApi, Fetch, Frontend, Http, IngestApi, IngestWorker, Log, LogFormat, Model,
    ModelChecksums, SearchApi,
};
pub use stores::{Index, Jetstream, JetstreamStorage, Milvus, Objects, Queue, S3};
pub(crate) use validate::is_checksum;

/// Everything that can be set. Each section is read by the roles that its comment names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Everything that the embedded stores keep lies below this folder.
    #[schemars(with = "String")]
    pub data_dir: Utf8PathBuf,
    /// Accepting uploads, changes and deletes.
    pub ingestapi: IngestApi,
    /// Decoding, embedding, indexing, fetching.
    pub ingestworker: IngestWorker,
    /// Searching and listing.
    pub searchapi: SearchApi,
    /// Serving originals and resized copies.
    pub cdnapi: CdnApi,
    /// The UI, and everything else on one origin.
    pub frontend: Frontend,
    /// `/metrics`, `/healthz`, `/readyz` and `/log-filter` of every role.
    pub admin: Admin,
    /// Who may do what.
    pub auth: Auth,
    /// Limits of every HTTP server.
    pub http: Http,
    /// The model that embeds images and texts.
    pub model: Model,
    /// Where originals, records and variants are kept.
    pub objects: Objects,
    /// Where jobs and task states are kept.
    pub queue: Queue,
    /// Where vectors are kept.
    pub index: Index,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// Where the hashed API keys are.
    pub fn keys_file(&self) -> Utf8PathBuf {
        self.auth.keys_file.clone().unwrap_or_else(|| self.data_dir.join("keys.json"))
    }

    /// The stores that only one process can use, as sections of the configuration.
    pub fn embedded_stores(&self) -> Vec<&'static str> {
        let embedded = [
            ("objects", matches!(self.objects, Objects::Folder { .. })),
            ("queue", matches!(self.queue, Queue::Sqlite { .. })),
            ("index", matches!(self.index, Index::QdrantEdge { .. })),
        ];
        embedded.into_iter().filter_map(|(section, is_embedded)| is_embedded.then_some(section)).collect()
    }

    /// The effective configuration as a file that gives it again, secrets aside.
    pub fn to_yaml(&self) -> Result<String, ConfigError> {
        serde_saphyr::to_string(self).map_err(ConfigError::Print)
    }
}
