//! The services: how many of each, with what, and where.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration_schema, quantity_schema};

/// What a container asks for and may use at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What a node must have left: `cpu`, `memory`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What is never exceeded: `cpu`, `memory`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

/// A taint of a node that its pods put up with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; every taint when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Exists` or `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Exists", "Equal"]))]
    pub operator: Option<String>,
    /// Value of the taint, with `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute"]))]
    pub effect: Option<String>,
    /// How long a pod stays on a node that got the taint, with `NoExecute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How evenly pods are spread; over the nodes, as far as that is possible, when nothing is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread {
    /// The label of nodes whose values are the places, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1))]
    pub topology_key: String,
    /// By how many pods two places may differ.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_skew: i32,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    #[serde(default = "schedule_anyway")]
    #[schemars(regex(pattern = "^(DoNotSchedule|ScheduleAnyway)$"))]
    pub when_unsatisfiable: String,
}

/// An environment variable, for settings that this resource has no field for (docs/configuration.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Variable {
    /// Name of the variable.
    #[schemars(length(min = 1), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value. Not for secrets.
    pub value: String,
}

/// What may be said of the pods of any role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// What the container asks for and may use; sensible for small stacks when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How evenly pods are spread; over the nodes, as far as that is possible, when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey"]))]
    pub topology_spread_constraints: Vec<TopologySpread>,
    /// Who goes first when a node is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Further labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Further annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Further environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Variable>,
}

/// As many pods as their processors' load asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas")
    .message("minReplicas must not be more than maxReplicas"))]
pub struct HttpAutoscaling {
    /// Never fewer pods.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
    /// Never more pods.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Load to aim for, in per cent of the processors that a pod asks for.
    #[serde(default = "target_cpu_utilization")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: i32,
}

/// What may be said of a service that answers requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)")
    .message("replicas and autoscaling exclude each other"))]
pub struct HttpRole {
    /// How many pods; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// As many pods as their load asks for, instead of `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<HttpAutoscaling>,
    #[serde(flatten)]
    pub pod: Pod,
}

/// Takes uploads, changes and deletes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngestApi {
    /// The largest image that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub max_upload_size: Option<String>,
    #[serde(flatten)]
    pub http: HttpRole,
}

/// IPv4 to the letter. Of IPv6 the shape alone, since a pattern can't count what `::` stands for: the operator reads the rest.
const NETWORKS: &str = "self.all(network, network.matches(\
    '^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])$') \
    || network.matches('^[0-9a-fA-F:]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$'))";

/// Decodes, embeds and indexes what was uploaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngestWorker {
    /// Who says how many workers there are.
    #[serde(default)]
    pub autoscaling: LagAutoscaling,
    /// Networks inside of which images may be fetched by URL although they are private, such as `10.1.0.0/16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 43)))]
    #[x_kube(validation = Rule::new(NETWORKS).message("each must be a network such as 10.1.0.0/16 or fd00::/8"))]
    pub allow_networks: Vec<String>,
    #[serde(flatten)]
    pub pod: Pod,
}

/// Who says how many workers there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoscalingMode {
    /// The operator, by what waits in the queue.
    #[default]
    Lag,
    /// Somebody else: `kubectl scale`, or another autoscaler.
    External,
    /// Nobody: there are `maxReplicas`.
    Fixed,
}

/// How many workers there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas")
    .message("minReplicas must not be more than maxReplicas"))]
pub struct LagAutoscaling {
    /// `Lag`: by what waits in the queue. `External`: `kubectl scale` or another autoscaler says. `Fixed`: always
    /// `maxReplicas`.
    #[serde(default)]
    pub mode: AutoscalingMode,
    /// Never fewer workers; 0 means none while there is nothing to do.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Never more workers.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Jobs, waiting or in flight, for each worker.
    #[serde(default = "target_lag_per_replica")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_lag_per_replica: i32,
    /// How many workers are added at once, at most.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_scale_up_step: i32,
    /// How long fewer workers must have been enough before there are fewer.
    #[serde(default = "scale_down_delay")]
    #[schemars(schema_with = "duration_schema")]
    pub scale_down_delay: String,
}

impl Default for LagAutoscaling {
    fn default() -> Self {
        Self {
            mode: AutoscalingMode::Lag,
            min_replicas: one(),
            max_replicas: four(),
            target_lag_per_replica: target_lag_per_replica(),
            max_scale_up_step: ten(),
            scale_down_delay: scale_down_delay(),
        }
    }
}

/// Each larger than all before it.
const ASCENDING: &str = "self.isSorted() && self.all(size, self.exists_one(same, same == size))";

/// Serves pictures and resized copies of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CdnApi {
    /// Sizes in pixels that a wanted width or height is snapped up to, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1)))]
    #[x_kube(validation = Rule::new(ASCENDING).message("sizes must be ascending, none twice"))]
    pub variant_sizes: Vec<i32>,
    #[serde(flatten)]
    pub http: HttpRole,
}

/// The page, and all services under one address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frontend {
    /// Image of the page; the one that came with the operator when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    #[serde(flatten)]
    pub http: HttpRole,
}

const fn one() -> i32 {
    1
}

const fn four() -> i32 {
    4
}

const fn ten() -> i32 {
    10
}

const fn target_cpu_utilization() -> i32 {
    70
}

const fn target_lag_per_replica() -> i32 {
    200
}

fn scale_down_delay() -> String {
    "60s".into()
}

fn schedule_anyway() -> String {
    "ScheduleAnyway".into()
}
