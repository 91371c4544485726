//! What the operator says of a stack. Times rather than ages, so that an idle stack is not written.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator saw last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageSearchStackStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The generation of the spec that everything was last brought to. It stays behind while the stack is paused or the spec is
    /// refused, while a model is fetched, and while a child can't be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_generation: Option<i64>,
    /// How the stack is, as a whole and by component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Where the services are, inside of the cluster and from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// What waits for a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestStatus>,
    /// Which model is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStatus>,
    /// The claims of the stores that the operator runs, and the id of each. A claim with another id is an empty volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, String>,
}

/// `True`, `False` or `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// One thing that is or isn't so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// The generation of the spec that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status changed last.
    #[schemars(schema_with = "time_schema")]
    pub last_transition_time: Time,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Condition {
    pub fn new(kind: &str, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Self {
        Self {
            r#type: kind.to_owned(),
            status,
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Whether it is the one that says that the whole stack is ready.
    pub fn is_ready(&self) -> bool {
        self.r#type == condition::READY && self.status == ConditionStatus::True
    }
}

/// Where the services are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The page, from outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// The page, and all services.
    pub frontend: String,
    /// Uploads, changes and deletes.
    pub ingest: String,
    /// Searches.
    pub search: String,
    /// Pictures.
    pub images: String,
}

/// What waits for a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngestStatus {
    /// Jobs that no worker has taken.
    #[serde(default)]
    pub pending: i64,
    /// Jobs that a worker has taken, or that wait for another try.
    #[serde(default)]
    pub in_flight: i64,
    /// Both.
    #[serde(default)]
    pub lag: i64,
    /// Workers that there should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// Workers that are ready, of as many as there may be.
    #[serde(default)]
    pub workers: String,
    /// Since when the oldest job waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time_schema")]
    pub oldest_job_since: Option<Time>,
}

/// Which model is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// The model in a few words.
    pub summary: String,
    /// Searches are answered with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ModelName>,
}

/// A model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelName {
    /// Where it came from.
    pub source: String,
}

/// Types of conditions that are not about one component.
pub mod condition {
    pub const READY: &str = "Ready";
    pub const PROGRESSING: &str = "Progressing";
    pub const DEGRADED: &str = "Degraded";
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    pub const MODEL_CURRENT: &str = "ModelCurrent";
    pub const STORES_INTACT: &str = "StoresIntact";
}

fn time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}

fn optional_time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}
