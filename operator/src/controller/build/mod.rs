//! From a stack to every object that should exist for it: pure, one file a component.

mod cdnapi;
mod credentials;
mod exposure;
mod frontend;
mod http;
mod ingestapi;
mod ingestworker;
mod jobs;
mod meta;
mod milvus;
mod nats;
mod network;
mod object_store;
mod pod;
mod searchapi;
mod server;
pub(crate) mod settings;

use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{ConfigMap, Secret, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::core::DynamicObject;

pub(crate) use self::{
    cdnapi::PORT as CDNAPI_PORT,
    frontend::PORT as FRONTEND_PORT,
    http::HttpObjects,
    ingestapi::PORT as INGESTAPI_PORT,
    ingestworker::WorkerObjects,
    nats::OPERATOR_USER,
    pod::CONFIG_ANNOTATION,
    searchapi::PORT as SEARCHAPI_PORT,
    server::{ServerObjects, VOLUME},
};
use super::{names::Component, stack::Stack};
use crate::crd::BesideState;

/// Everything that should exist.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    pub(crate) service_accounts: Vec<ServiceAccount>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) config: ConfigMap,
    pub(crate) network_policies: Vec<NetworkPolicy>,
    pub(crate) object_store: Option<ServerObjects>,
    pub(crate) queue: Option<ServerObjects>,
    pub(crate) index: Option<ServerObjects>,
    pub(crate) fetch_model: Option<Job>,
    /// Absent while the first model is being fetched: what runs then stays as it is.
    pub(crate) roles: Option<Roles>,
    pub(crate) beside: Beside,
    pub(crate) cdnapi: HttpObjects,
    pub(crate) frontend: HttpObjects,
    pub(crate) repair: Option<Job>,
    pub(crate) check: Option<CronJob>,
    pub(crate) ingress: Option<Ingress>,
    pub(crate) route: Option<DynamicObject>,
    pub(crate) pod_monitor: Option<DynamicObject>,
}

/// The roles that load the model.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    pub(crate) ingestapi: HttpObjects,
    pub(crate) ingestworker: WorkerObjects,
    pub(crate) searchapi: HttpObjects,
}

/// The second model, as far as it has come.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    pub(crate) ingestworker: Option<WorkerObjects>,
    pub(crate) fill: Option<Job>,
    /// Searches may come when its collection is filled.
    pub(crate) searchapi: Option<HttpObjects>,
    pub(crate) remove: Option<Job>,
}

/// Builds them all.
pub(crate) fn children(stack: &Stack) -> Children {
    Children {
        service_accounts: service_accounts(stack),
        secrets: credentials::build(stack),
        config: settings::config_map(stack),
        network_policies: network::build(stack),
        object_store: stack.object_store.managed.as_ref().map(|store| object_store::build(stack, store)),
        queue: stack.queue.managed.as_ref().map(|queue| nats::build(stack, queue)),
        index: stack.index.managed.as_ref().map(|server| milvus::build(stack, server)),
        fetch_model: jobs::fetch_model(stack),
        roles: (!stack.model.is_first()).then(|| Roles {
            ingestapi: ingestapi::build(stack),
            ingestworker: ingestworker::build(stack),
            searchapi: searchapi::build(stack),
        }),
        beside: beside(stack),
        cdnapi: cdnapi::build(stack),
        frontend: frontend::build(stack),
        repair: jobs::repair(stack),
        check: jobs::check(stack),
        ingress: exposure::ingress(stack),
        route: exposure::route(stack),
        pod_monitor: exposure::pod_monitor(stack),
    }
}

fn beside(stack: &Stack) -> Beside {
    let model = &stack.model;
    let may_serve = model.plan.is_beside(BesideState::Kept) || model.steps.is_filled;
    Beside {
        ingestworker: model.has_two().then(|| ingestworker::beside(stack)),
        fill: jobs::fill(stack),
        searchapi: (model.has_two() && may_serve).then(|| searchapi::beside(stack)),
        remove: jobs::remove(stack),
    }
}

/// Nobody needs to talk to the API server: the accounts are there to be told apart, and to carry a cloud's annotations.
fn service_accounts(stack: &Stack) -> Vec<ServiceAccount> {
    let account = |suffix: &str, annotations: Option<std::collections::BTreeMap<String, String>>| {
        let mut metadata = meta::owned_as(stack, Component::Stack, stack.child_named(suffix));
        metadata.annotations = annotations.filter(|annotations| !annotations.is_empty());
        ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() }
    };
    vec![account("roles", Some(stack.service_account_annotations.clone())), account("stores", None)]
}
