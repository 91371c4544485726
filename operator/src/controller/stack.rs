//! A stack as it is meant: every default filled in, every text understood, every Secret that is named found. Builders read
//! this and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{
    change::{Marks, Steps},
    credentials::Entries,
    defaults::Defaults,
    model::Plan,
    names::{self, Component},
    volumes::VolumePlan,
};
use crate::{
    autoscaler,
    crd::{self, BesideState, Engine, ModelChoice, Slot},
};

/// What builders are given.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish, or a fact of the cluster, of its own")]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) owner: OwnerReference,
    /// Volumes and credentials outlive the stack.
    pub(crate) retain: bool,
    pub(crate) rotation: String,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) image: String,
    pub(crate) frontend_image: String,
    pub(crate) pull_secrets: Vec<String>,
    pub(crate) service_account_annotations: BTreeMap<String, String>,
    pub(crate) object_store: ObjectStore,
    pub(crate) queue: Queue,
    pub(crate) index: Index,
    pub(crate) model: Model,
    pub(crate) auth: Auth,
    pub(crate) ingestapi: HttpRole,
    pub(crate) max_upload_bytes: Option<u64>,
    pub(crate) ingestworker: Worker,
    pub(crate) searchapi: HttpRole,
    pub(crate) cdnapi: HttpRole,
    pub(crate) variant_sizes: Vec<i32>,
    pub(crate) frontend: HttpRole,
    pub(crate) ingress: Option<crd::Ingress>,
    pub(crate) check_schedule: Option<String>,
    pub(crate) check_pod: crd::Pod,
    pub(crate) repair: Option<Repair>,
    pub(crate) traces: Option<crd::Traces>,
    pub(crate) log_filter: Option<String>,
    pub(crate) network_policies: bool,
    pub(crate) pod_monitors: bool,
    /// What the cluster knows.
    pub(crate) knows_pod_monitors: bool,
    pub(crate) knows_http_routes: bool,
}

/// A server that the operator runs.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) image: String,
    pub(crate) replicas: i32,
    pub(crate) storage: String,
    pub(crate) volumes: VolumePlan,
    pub(crate) storage_class: Option<String>,
    pub(crate) pod: crd::Pod,
}

/// How the object store is reached, and what is run for it.
#[derive(Debug, Clone)]
pub(crate) struct ObjectStore {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) prefix: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) server_side_encryption: Option<String>,
    /// Holds `access-key-id` and `secret-access-key`.
    pub(crate) credentials: Option<SecretSource>,
    /// Holds `ca.crt`.
    pub(crate) ca: Option<SecretSource>,
    pub(crate) managed: Option<ManagedObjectStore>,
}

/// An S3 server of the stack's own.
#[derive(Debug, Clone)]
pub(crate) struct ManagedObjectStore {
    pub(crate) engine: Engine,
    pub(crate) server: Server,
    pub(crate) credentials: Entries,
}

/// How the queue is reached, and what is run for it.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) servers: Vec<String>,
    pub(crate) name: String,
    pub(crate) replicas: i32,
    pub(crate) max_jobs: Option<i64>,
    pub(crate) credentials: Option<SecretSource>,
    pub(crate) tls: Tls,
    pub(crate) managed: Option<ManagedQueue>,
}

/// NATS servers of the stack's own.
#[derive(Debug, Clone)]
pub(crate) struct ManagedQueue {
    pub(crate) server: Server,
    pub(crate) credentials: Entries,
}

/// How the index is reached, and what is run for it.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) url: String,
    pub(crate) database: String,
    pub(crate) prefix: String,
    pub(crate) credentials: Option<SecretSource>,
    pub(crate) tls: Tls,
    pub(crate) external: bool,
    /// A Milvus server of the stack's own; absent before the object store, which it doesn't start without, has been ready.
    pub(crate) managed: Option<Server>,
}

/// Certificates for a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    /// Holds `ca.crt`.
    pub(crate) ca: Option<SecretSource>,
    /// Holds `tls.crt` and `tls.key`.
    pub(crate) certificate: Option<SecretSource>,
}

/// A Secret that pods are given, with what it holds: the names decide how it is used, the contents when pods roll.
#[derive(Debug, Clone)]
pub(crate) struct SecretSource {
    pub(crate) name: String,
    pub(crate) entries: Entries,
}

/// Which models the roles load, and the one that the spec wants.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) wanted: ModelChoice,
    /// The token for the model hub.
    pub(crate) token: Option<(crd::SecretKeyRef, Entries)>,
    /// What is wished of the pod that fetches it.
    pub(crate) pod: crd::Pod,
    /// The Job that fetches it.
    pub(crate) job: String,
    /// The wanted model is in the object store.
    pub(crate) is_stored: bool,
    /// It can't be used: the Job that was to fill its collection has said why.
    pub(crate) is_refused: bool,
    /// Workers that fill the collection of another model.
    pub(crate) reindex_workers: i32,
    pub(crate) plan: Plan,
    pub(crate) marks: Marks,
    pub(crate) steps: Steps,
}

impl Model {
    /// Only such a model is fetched by a Job.
    pub(crate) fn is_fetched(&self) -> bool {
        is_fetched(&self.wanted)
    }

    /// Searches use the model of the spec.
    pub(crate) fn is_current(&self) -> bool {
        self.plan.searches_use(&self.wanted)
    }

    /// There is no model yet.
    pub(crate) fn is_first(&self) -> bool {
        self.plan.current.is_none()
    }

    /// What searches use: before there is a model, what they will.
    pub(crate) fn current(&self) -> &ModelChoice {
        self.plan.current.as_ref().map_or(&self.wanted, |current| &current.model.choice)
    }

    /// The second model while its collection is kept up to date, or its workers work.
    pub(crate) fn beside(&self) -> Option<&ModelChoice> {
        self.plan.beside.as_ref().map(|beside| &beside.model.choice)
    }

    /// Whether pods load the second model.
    pub(crate) fn has_two(&self) -> bool {
        self.plan.is_beside(BesideState::Building) || self.plan.is_beside(BesideState::Kept)
    }

    /// The collection of the wanted model is being built.
    pub(crate) fn is_building(&self) -> bool {
        self.plan.is_beside(BesideState::Building) && self.beside() == Some(&self.wanted)
    }

    /// Whether a role is one of those of the second model.
    pub(crate) fn is_beside(&self, role: Component) -> bool {
        role.slot().is_some_and(|slot| slot != self.plan.current_slot())
    }

    /// The Job that fills the wanted model's collection.
    pub(crate) fn fill_job(&self, stack: &str) -> String {
        names::fill_job(stack, &self.wanted)
    }
}

pub(crate) fn is_fetched(model: &ModelChoice) -> bool {
    model.source != "bundled"
}

/// A store has another volume than before: what it kept is gone, and the other stores still tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repair {
    /// Claims whose volume is another one.
    pub(crate) claims: Vec<String>,
    /// The Job that compares the stores and repairs what differs.
    pub(crate) job: String,
    pub(crate) state: RepairState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepairState {
    /// The stores don't serve yet.
    Waiting,
    Running,
    /// It was tried as often as it is.
    Failed,
    Ended,
}

/// Who may do what.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) asks_for_keys: bool,
    pub(crate) public_read: bool,
    pub(crate) keys: Vec<Key>,
}

/// An API key of the stack.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) scopes: Vec<crd::Scope>,
    pub(crate) entries: Entries,
}

/// A role that answers requests.
#[derive(Debug, Clone)]
pub(crate) struct HttpRole {
    pub(crate) replicas: Replicas,
    pub(crate) pod: crd::Pod,
}

/// Who says how many pods there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replicas {
    Fixed(i32),
    ByLoad(HorizontalScale),
}

/// Bounds and aim of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HorizontalScale {
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) target_cpu_utilization: i32,
}

/// The workers.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) scaling: autoscaler::Settings,
    pub(crate) allow_networks: Vec<String>,
    pub(crate) pod: crd::Pod,
}

impl Stack {
    /// The name of a component's children.
    pub(crate) fn child(&self, component: Component) -> String {
        names::child(&self.name, component.label())
    }

    /// The name of a further child.
    pub(crate) fn child_named(&self, suffix: &str) -> String {
        names::child(&self.name, suffix)
    }

    /// The slots that have something in them.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let slot = self.model.plan.current_slot();
        let beside = self.model.plan.beside.is_some();
        [Slot::A, Slot::B].into_iter().filter(|found| *found == slot || beside).collect()
    }

    /// The searchapi that searches use.
    pub(crate) fn searchapi_in_use(&self) -> Component {
        Component::searchapi(self.model.plan.current_slot())
    }

    /// The workers of the model that searches use.
    pub(crate) fn ingestworker_in_use(&self) -> Component {
        Component::ingestworker(self.model.plan.current_slot())
    }

    /// The searchapi of the second model.
    pub(crate) fn searchapi_beside(&self) -> Component {
        Component::searchapi(self.model.plan.current_slot().other())
    }

    /// The workers of the second model.
    pub(crate) fn ingestworker_beside(&self) -> Component {
        Component::ingestworker(self.model.plan.current_slot().other())
    }

    /// The parts that have a condition of their own, in the order in which they start.
    pub(crate) fn parts(&self) -> [Component; 8] {
        [
            Component::ObjectStore,
            Component::Queue,
            Component::Index,
            Component::IngestApi,
            self.ingestworker_in_use(),
            self.searchapi_in_use(),
            Component::CdnApi,
            Component::Frontend,
        ]
    }

    /// The stores that the operator runs.
    pub(crate) fn servers(&self) -> Vec<(Component, &Server)> {
        let servers = [
            (Component::ObjectStore, self.object_store.managed.as_ref().map(|store| &store.server)),
            (Component::Queue, self.queue.managed.as_ref().map(|queue| &queue.server)),
            (Component::Index, self.index.managed.as_ref()),
        ];
        servers.into_iter().filter_map(|(component, server)| Some((component, server?))).collect()
    }

    /// The full host name of a component's Service.
    pub(crate) fn host(&self, component: Component) -> String {
        service_host(&self.defaults, &self.namespace, &self.child(component))
    }
}

pub(crate) fn service_host(defaults: &Defaults, namespace: &str, service: &str) -> String {
    format!("{service}.{namespace}.svc.{}", defaults.cluster_domain)
}
