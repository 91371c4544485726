//! The three stores: each run by the operator (`Managed`) or by somebody else (`External`), which never changes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pod, SecretRef, quantity_schema};

/// Who runs a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StoreType {
    /// The operator.
    #[default]
    Managed,
    /// Somebody else; it is reached by an address.
    External,
}

const UNION: &str = "self.type == 'External' ? has(self.external) && !has(self.managed) : !has(self.external)";
const UNION_MESSAGE: &str = "external must be set when type is External, and managed must not; external must not be set \
    when type is Managed";
const SAME_TYPE: &str = "self.type == oldSelf.type";
const SAME_TYPE_MESSAGE: &str = "type can't be changed: what is stored would stay behind; make a second stack and move \
    with `imagesearch export` and `import`";
/// An absent `managed` is one with the default size.
macro_rules! storage_grows {
    ($default:literal) => {
        concat!(
            "quantity(has(self.managed) ? self.managed.storage : '",
            $default,
            "').compareTo(",
            "quantity(has(oldSelf.managed) ? oldSelf.managed.storage : '",
            $default,
            "')) >= 0"
        )
    };
}
const STORAGE_GROWS_MESSAGE: &str = "managed.storage can't shrink";
const SAME_CLASS: &str = "(has(self.managed) && has(self.managed.storageClassName) ? self.managed.storageClassName : '') == \
    (has(oldSelf.managed) && has(oldSelf.managed.storageClassName) ? oldSelf.managed.storageClassName : '')";
const SAME_CLASS_MESSAGE: &str = "managed.storageClassName can't be changed: a volume stays where it is";
const SAME_REPLICAS: &str = "(has(self.managed) ? self.managed.replicas : 1) == \
    (has(oldSelf.managed) ? oldSelf.managed.replicas : 1)";
const SAME_REPLICAS_MESSAGE: &str = "managed.replicas can't be changed: a server that joins a cluster, or leaves it, loses the \
    jobs that it keeps; make a second stack and move with `imagesearch export` and `import`";

/// Certificates for an external store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificates (PEM) to trust instead of the system's: the entry `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Client certificate for mutual TLS: the entries `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret_ref: Option<SecretRef>,
}

/// Where uploads wait for a worker: NATS JetStream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(UNION).message(UNION_MESSAGE),
    validation = Rule::new(SAME_TYPE).message(SAME_TYPE_MESSAGE).field_path(".type"),
    validation = Rule::new(storage_grows!("10Gi")).message(STORAGE_GROWS_MESSAGE),
    validation = Rule::new(SAME_CLASS).message(SAME_CLASS_MESSAGE),
    // NATS takes streams that its cluster doesn't know for orphans and deletes them.
    validation = Rule::new(SAME_REPLICAS).message(SAME_REPLICAS_MESSAGE),
)]
pub struct Queue {
    /// `Managed`: run by the operator. `External`: somebody else's. Never changes.
    #[serde(default)]
    pub r#type: StoreType,
    /// How the operator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedQueue>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalQueue>,
    /// Uploads that may wait; more are refused with 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_jobs: Option<i64>,
}

/// NATS, run by the operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedQueue {
    /// Image of the server; the one that the operator was tested with when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    /// 1 server, or 3 that survive the loss of one. Never changes.
    #[serde(default = "one")]
    #[schemars(extend("enum" = [1, 3]))]
    pub replicas: i32,
    /// Size of each server's volume. It can grow.
    #[serde(default = "queue_storage")]
    #[schemars(schema_with = "quantity_schema")]
    pub storage: String,
    /// Class of the volumes; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    #[serde(flatten)]
    pub pod: Pod,
}

impl Default for ManagedQueue {
    fn default() -> Self {
        Self { image: None, replicas: one(), storage: queue_storage(), storage_class_name: None, pod: Pod::default() }
    }
}

/// NATS, run by somebody else. JetStream must be on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.name) ? self.name : '') == (has(oldSelf.name) ? oldSelf.name : '')")
    .message("name can't be changed: what waits under the old one would be lost"))]
pub struct ExternalQueue {
    /// Servers, as `nats://host:4222` or `tls://host:4222`, separated by commas.
    #[schemars(regex(pattern = r"^(nats|tls)://[^, ]+(,(nats|tls)://[^, ]+)*$"), length(max = 2048))]
    pub url: String,
    /// First part of the names of streams and subjects; namespace and name of the stack when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]+$"), length(max = 128))]
    pub name: Option<String>,
    /// Copies of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [1, 3, 5]))]
    pub replicas: Option<i32>,
    /// A Secret with the entries `user` and `password`, or `token`, or `nats.creds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Where vectors are searched: Milvus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(UNION).message(UNION_MESSAGE),
    validation = Rule::new(SAME_TYPE).message(SAME_TYPE_MESSAGE).field_path(".type"),
    validation = Rule::new(storage_grows!("10Gi")).message(STORAGE_GROWS_MESSAGE),
    validation = Rule::new(SAME_CLASS).message(SAME_CLASS_MESSAGE),
)]
pub struct Index {
    /// `Managed`: run by the operator. `External`: somebody else's. Never changes.
    #[serde(default)]
    pub r#type: StoreType,
    /// How the operator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedIndex>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalIndex>,
}

/// Milvus, run by the operator: one server, its data in the stack's object store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedIndex {
    /// Image of the server; the one that the operator was tested with when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    /// Size of the server's volume. It can grow.
    #[serde(default = "index_storage")]
    #[schemars(schema_with = "quantity_schema")]
    pub storage: String,
    /// Class of the volume; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    #[serde(flatten)]
    pub pod: Pod,
}

impl Default for ManagedIndex {
    fn default() -> Self {
        Self { image: None, storage: index_storage(), storage_class_name: None, pod: Pod::default() }
    }
}

/// Milvus, run by somebody else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.database == oldSelf.database && \
        (has(self.prefix) ? self.prefix : '') == (has(oldSelf.prefix) ? oldSelf.prefix : '')")
    .message("database and prefix can't be changed: they say which index this is"))]
pub struct ExternalIndex {
    /// `http://host:19530`, or `https://…` for TLS.
    #[schemars(regex(pattern = r"^https?://[^ ]+$"), length(max = 2048))]
    pub url: String,
    /// The database; it has to be there.
    #[serde(default = "database")]
    #[schemars(length(min = 1, max = 255))]
    pub database: String,
    /// First part of the collections' names; namespace and name of the stack when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"), length(max = 128))]
    pub prefix: Option<String>,
    /// A Secret with the entries `user` and `password`, or `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Where pictures are kept: a bucket of an S3 store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(UNION).message(UNION_MESSAGE),
    validation = Rule::new(SAME_TYPE).message(SAME_TYPE_MESSAGE).field_path(".type"),
    validation = Rule::new(storage_grows!("50Gi")).message(STORAGE_GROWS_MESSAGE),
    validation = Rule::new(SAME_CLASS).message(SAME_CLASS_MESSAGE),
    validation = Rule::new(
        "(has(self.managed) ? self.managed.engine : 'MinIO') == (has(oldSelf.managed) ? oldSelf.managed.engine : 'MinIO')"
    )
    .message("managed.engine can't be changed: what is stored would stay behind"),
)]
pub struct ObjectStore {
    /// `Managed`: run by the operator. `External`: somebody else's. Never changes.
    #[serde(default)]
    pub r#type: StoreType,
    /// How the operator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedObjectStore>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalObjectStore>,
}

/// Which server keeps the objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Engine {
    #[default]
    MinIO,
    SeaweedFS,
}

/// An S3 store, run by the operator: one server on one volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedObjectStore {
    /// Which server keeps the objects: `MinIO` or `SeaweedFS`. Never changes.
    #[serde(default)]
    pub engine: Engine,
    /// Image of the server; the one that the operator was made for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub image: Option<String>,
    /// Size of the volume, for pictures and vectors. It can grow.
    #[serde(default = "object_storage")]
    #[schemars(schema_with = "quantity_schema")]
    pub storage: String,
    /// Class of the volume; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    #[serde(flatten)]
    pub pod: Pod,
}

impl Default for ManagedObjectStore {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            image: None,
            storage: object_storage(),
            storage_class_name: None,
            pod: Pod::default(),
        }
    }
}

/// An S3 store, run by somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.bucket == oldSelf.bucket && \
        (has(self.prefix) ? self.prefix : '') == (has(oldSelf.prefix) ? oldSelf.prefix : '')")
    .message("bucket and prefix can't be changed: they say which store this is"))]
pub struct ExternalObjectStore {
    /// URL of the store; AWS's own for the region when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^ ]+$"), length(max = 2048))]
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    #[serde(default = "region")]
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// The bucket; it has to be there.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Put before every key, so that a bucket can be shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub prefix: Option<String>,
    /// `Path`: the bucket stands in the path of URLs. `VirtualHost`: in the host name, as AWS prefers it.
    #[serde(default)]
    pub addressing: Addressing,
    /// A Secret with the entries `access-key-id` and `secret-access-key`; without one, what the pods' ServiceAccount or node
    /// is entitled to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// Annotations of the roles' ServiceAccount, such as `eks.amazonaws.com/role-arn`.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub service_account_annotations: std::collections::BTreeMap<String, String>,
    /// Certificates (PEM) to trust instead of the system's: the entry `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// `AES256` or `aws:kms`: asks the store to encrypt what it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(AES256|aws:kms)$"))]
    pub server_side_encryption: Option<String>,
}

/// Where the name of a bucket stands in URLs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Addressing {
    #[default]
    Path,
    VirtualHost,
}

const fn one() -> i32 {
    1
}

fn queue_storage() -> String {
    "10Gi".into()
}

fn index_storage() -> String {
    "10Gi".into()
}

fn object_storage() -> String {
    "50Gi".into()
}

fn database() -> String {
    "default".into()
}

fn region() -> String {
    "us-east-1".into()
}
