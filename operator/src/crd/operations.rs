//! Who may come in, how the page is reached, what is looked at, and what stays. No value is called `Off`: `kubectl` reads
//! YAML 1.1, where that is a boolean.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pod;

/// How the page is reached from outside of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'Gateway' || (has(self.parentRefs) && size(self.parentRefs) > 0)")
        .message("parentRefs must name a Gateway when type is Gateway"),
    validation = Rule::new("self.type != 'Gateway' || (!has(self.className) && !has(self.tlsSecretName))")
        .message("className and tlsSecretName are for type Ingress; a Gateway has its own"),
    validation = Rule::new("self.type != 'Ingress' || !has(self.parentRefs)")
        .message("parentRefs is for type Gateway"),
)]
pub struct Ingress {
    /// `Ingress`: an Ingress. `Gateway`: an HTTPRoute of the Gateway API.
    #[serde(default)]
    pub r#type: IngressType,
    /// Host name of the page; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"), length(max = 253))]
    pub host: Option<String>,
    /// The controller that serves the Ingress; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// A Secret with the certificate for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_name: Option<String>,
    /// The Gateways that the route belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Further annotations. The largest request is set for ingress-nginx already.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What brings requests to the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IngressType {
    #[default]
    Ingress,
    Gateway,
}

/// A Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its namespace; the stack's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// One of its listeners; all that fit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type != 'ApiKeys' || size(self.keys) > 0")
    .message("keys must name a key at least, or nobody could write; type None asks for no keys"))]
pub struct Auth {
    /// `ApiKeys`: who changes something shows a key. `None`: anybody may do anything.
    #[serde(default)]
    pub r#type: AuthType,
    /// `Keys`: searching and looking ask for a key too. `Public`: they ask for none.
    #[serde(default)]
    pub reading: Reading,
    /// The keys. Each is made by the operator and lies in the Secret `<stack>-key-<name>`; one that is taken off the list is
    /// refused from then on.
    #[serde(default = "admin_key")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<ApiKey>,
}

impl Default for Auth {
    fn default() -> Self {
        Self { r#type: AuthType::default(), reading: Reading::default(), keys: admin_key() }
    }
}

fn admin_key() -> Vec<ApiKey> {
    vec![ApiKey { name: "admin".into(), scopes: vec![Scope::Admin] }]
}

/// Whether keys are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuthType {
    #[default]
    ApiKeys,
    None,
}

/// Whether reading asks for a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reading {
    #[default]
    Keys,
    Public,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// Whose key it is.
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 30))]
    pub name: String,
    /// What it allows: `read`, `ingest`, `delete`, `admin`.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<Scope>,
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Read,
    Ingest,
    Delete,
    Admin,
}

/// Compares pictures, index and queue at set times and repairs what differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// When, as in cron; an empty text for never.
    #[serde(default = "nightly")]
    #[schemars(length(max = 100))]
    pub schedule: String,
    #[serde(flatten)]
    pub pod: Pod,
}

impl Default for Check {
    fn default() -> Self {
        Self { schedule: nightly(), pod: Pod::default() }
    }
}

fn nightly() -> String {
    "17 3 * * *".into()
}

/// Where traces go, and how metrics are found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// Where traces are sent; nowhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// `Auto`: PodMonitors are made when the cluster knows them. `Never`: they are not.
    #[serde(default)]
    pub pod_monitors: PodMonitors,
    /// What is logged: `info`, `info,backends=debug`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub log_filter: Option<String>,
}

/// Where traces are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traces {
    /// An OTLP endpoint (gRPC), such as `http://alloy.monitoring:4317`.
    #[schemars(regex(pattern = r"^https?://[^ ]+$"), length(max = 2048))]
    pub endpoint: String,
    /// How many of the traces that begin here are kept, from `0` to `1`.
    #[serde(default = "every")]
    #[schemars(regex(pattern = r"^(0(\.[0-9]+)?|1(\.0+)?)$"))]
    pub sample_ratio: String,
}

fn every() -> String {
    "1".into()
}

/// Whether PodMonitors are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodMonitors {
    #[default]
    Auto,
    Never,
}

/// Whether network policies are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    #[default]
    Enforced,
    None,
}

/// What becomes of volumes and credentials when the stack is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}
