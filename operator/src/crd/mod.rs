//! The custom resource `ImageSearchStack`: what a user writes, and what the operator says back. Doc comments are what
//! `kubectl explain` prints; the rules that a schema can't express are in CEL, beside the type that they hold for.

#![expect(unreachable_pub, reason = "the derives write each type down once more, in a place of their own")]

mod model;
mod operations;
mod reference;
mod roles;
mod status;
mod stores;
#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::{CustomResource, CustomResourceExt, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

pub use model::{Model, SecretKeyRef, SecretRef};
pub use operations::{
    ApiKey, Auth, AuthType, Check, DeletionPolicy, Ingress, IngressType, NetworkPolicyMode, Observability, ParentRef,
    PodMonitors, Reading, Scope, Traces,
};
pub use reference::markdown;
pub use roles::{
    AutoscalingMode, CdnApi, Frontend, HttpAutoscaling, HttpRole, IngestApi, IngestWorker, LagAutoscaling, Pod,
    Resources, Toleration, TopologySpread, Variable,
};
pub use status::{
    BesideState, Condition, ConditionStatus, CurrentModel, Endpoints, ImageSearchStackStatus, IngestStatus, KnownModel,
    ModelBeside, ModelChoice, ModelProgress, ModelStatus, Slot, condition,
};
pub use stores::{
    Addressing, Engine, ExternalIndex, ExternalObjectStore, ExternalQueue, Index, ManagedIndex, ManagedObjectStore,
    ManagedQueue, ObjectStore, Queue, StoreType, Tls,
};

pub const GROUP: &str = "imagesearch.dev";

/// Set to `true`, the operator leaves everything of a stack as it is.
pub const PAUSED_ANNOTATION: &str = "imagesearch.dev/paused";

/// Image search by words and by pictures: its services, its stores, and how much of each. `spec: {}` is a whole one.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "imagesearch.dev",
    version = "v1alpha1",
    kind = "ImageSearchStack",
    plural = "imagesearchstacks",
    namespaced,
    shortname = "iss",
    category = "all",
    status = "ImageSearchStackStatus",
    derive = "PartialEq",
    derive = "Default",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')")
        .message("the name must begin with a letter and have at most 63 letters, digits and dashes: Services are named after it"),
    doc = "Image search by words and by pictures: its services, its stores, and how much of each. `spec: {}` is a whole one.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Workers", type_ = "string", json_path = ".status.ingest.workers"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.ingest.lag"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model.summary"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ImageSearchStackSpec {
    /// Image of every role; a tag or a digest. The one that came with the operator when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    /// Secrets with the credentials of private registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<SecretRef>,
    /// What turns words and pictures into vectors.
    #[serde(default)]
    pub model: Model,
    /// Takes uploads, changes and deletes.
    #[serde(default)]
    pub ingest_api: IngestApi,
    /// Decodes, embeds and indexes what was uploaded.
    #[serde(default)]
    pub ingest_worker: IngestWorker,
    /// Answers searches.
    #[serde(default)]
    pub search_api: HttpRole,
    /// Serves pictures and resized copies of them.
    #[serde(default)]
    pub cdn_api: CdnApi,
    /// The page, and all services under one address.
    #[serde(default)]
    pub frontend: Frontend,
    /// Where uploads wait for a worker: NATS JetStream.
    #[serde(default)]
    pub queue: Queue,
    /// Where vectors are searched: Milvus.
    #[serde(default)]
    pub index: Index,
    /// Where pictures are kept: a bucket of an S3 store. Everything else can be made anew from it.
    #[serde(default)]
    pub object_store: ObjectStore,
    /// How the page is reached from outside of the cluster; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Who may do what.
    #[serde(default)]
    pub auth: Auth,
    /// Any text; another one makes new passwords and API keys wherever the operator made them. The one by which servers of a
    /// queue know each other stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub rotate_credentials: Option<String>,
    /// Compares pictures, index and queue at set times and repairs what differs.
    #[serde(default)]
    pub check: Check,
    /// Where traces go, and how metrics are found.
    #[serde(default)]
    pub observability: Observability,
    /// `Enforced` lets each pod reach what it needs and nothing else; with `None` there are no network policies.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
    /// What becomes of volumes and credentials when the stack is deleted: with `Retain` they stay, and a new stack of the
    /// same name takes them over.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl ImageSearchStack {
    /// Whether everything of it is to be left as it is.
    pub fn is_paused(&self) -> bool {
        self.annotations().get(PAUSED_ANNOTATION).is_some_and(|paused| paused == "true")
    }
}

/// The definition as it is installed: `spec` may be left out altogether.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = ImageSearchStack::crd();
    for version in &mut definition.spec.versions {
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let spec = root.and_then(|root| root.properties.as_mut()?.get_mut("spec"));
        if let Some(spec) = spec {
            spec.default = Some(JSON(serde_json::json!({})));
        }
    }
    definition
}

/// A quantity as Kubernetes writes it, such as `500m` or `2Gi`.
fn quantity_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
    })
}

/// A time span such as `30s`, `5m` or `1h30m`.
fn duration_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$", "maxLength": 20 })
}
