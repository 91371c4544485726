//! Which model, and where it is had from.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pod, duration_schema};

/// The name of a Secret in the stack's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One entry of a Secret in the stack's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The entry.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What turns words and pictures into vectors. It is fetched once, into the object store, by a Job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.source != 'bundled' || !has(self.tokenSecretRef)")
    .message("tokenSecretRef is for models that are fetched, and the bundled one is not"))]
pub struct Model {
    /// `bundled`, an archive (`https://…`), a repository of a model hub (`hf://organisation/repository@revision[/folder]`),
    /// or a folder of the object store (`s3://bucket/prefix`).
    #[serde(default = "bundled")]
    #[schemars(regex(pattern = r"^(bundled|https://.+|hf://[^/]+/[^/]+.*|s3://.+)$"), length(max = 1024))]
    pub source: String,
    /// SHA-256 of files of the model, by their path; or that of the archive, as `archive`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "checksums_schema")]
    #[x_kube(
        validation = Rule::new("self.all(file, self[file].matches('^[0-9a-fA-F]{64}$'))")
            .message("each checksum must be 64 hexadecimal digits"),
        validation = Rule::new("!('archive' in self) || size(self) == 1")
            .message("archive stands alone: it holds all files"),
    )]
    pub sha256: BTreeMap<String, String>,
    /// A token for the model hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// The pod that fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Pod>,
    /// How many workers bring the stored images into the collection of another model before searches use it. They are beside
    /// those that index uploads.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub reindex_workers: i32,
    /// After a change, how long the model of before is kept up to date, so that going back takes a moment; `0s` for not at all.
    /// Every upload is embedded twice meanwhile.
    #[serde(default = "one_hour")]
    #[schemars(schema_with = "duration_schema")]
    pub keep_previous: String,
}

fn checksums_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 256, "additionalProperties": { "type": "string", "maxLength": 64 },
    })
}

fn bundled() -> String {
    "bundled".into()
}

const fn one() -> i32 {
    1
}

fn one_hour() -> String {
    "1h".into()
}

impl Default for Model {
    fn default() -> Self {
        Self {
            source: bundled(),
            sha256: BTreeMap::new(),
            token_secret_ref: None,
            fetch: None,
            reindex_workers: one(),
            keep_previous: one_hour(),
        }
    }
}
