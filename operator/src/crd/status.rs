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
    /// refused, while the first model is fetched, and while a child can't be applied. A change of the model goes on afterwards.
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

/// Which model is used, and what becomes of it. The operator remembers by it how far a change is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// The model in a few words: the one that is fetched or built, with how far that is, while there is one.
    pub summary: String,
    /// Searches are answered with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentModel>,
    /// The model of the spec, while it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<KnownModel>,
    /// A second model whose collection is there: the one that is built, or the one of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<ModelBeside>,
    /// How far the collection that is built is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ModelProgress>,
}

/// A model as the spec names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelChoice {
    /// Where it came from.
    pub source: String,
    /// SHA-256 of files of the model, by their path; or that of the archive, as `archive`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, String>,
}

/// A model, and what its collection and its jobs are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownModel {
    #[serde(flatten)]
    pub choice: ModelChoice,
    /// What it is called in the stores; absent until it was heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// The model that searches use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentModel {
    #[serde(flatten)]
    pub model: KnownModel,
    /// Which searchapi and workers load it: with `B`, those whose names end in `-b`.
    #[serde(default)]
    pub slot: Slot,
}

/// One of the two places for a searchapi and its workers, so that there can be those of two models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Slot {
    #[default]
    A,
    B,
}

impl Slot {
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The model whose collection is beside that of the one that searches use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelBeside {
    #[serde(flatten)]
    pub model: KnownModel,
    /// `Building`: searches will use it. `Kept`: they did, and may again at once. `Leaving`: what it had is removed.
    pub state: BesideState,
    /// Until when it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time_schema")]
    pub until: Option<Time>,
}

/// What becomes of a second model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BesideState {
    Building,
    Kept,
    Leaving,
}

/// How far a collection is that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProgress {
    /// Images that it has, rounded to two digits.
    pub indexed: i64,
    /// Images that it is to have.
    pub images: i64,
    /// The one of the other, in per cent; absent while there are no images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// When it will have them all, as fast as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_time_schema")]
    pub expected_at: Option<Time>,
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
