//! Brings what was built into the cluster by server-side apply, what pods read before the pods, and removes what is no longer
//! wanted. Each child is tried, whatever became of the others.

use std::{collections::BTreeMap, fmt::Debug};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
    },
    serde::Serialize,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::json;

use super::{
    build::{Beside, Children, HttpObjects, Roles, ServerObjects, WorkerObjects},
    error::ReconcileError,
    fetch::Observed,
    kinds,
    names::{self, COMPONENT_LABEL, Component},
    stack::Stack,
};
use crate::{autoscaler, crd::AutoscalingMode};

/// Whose fields are whose: ours.
pub(crate) const FIELD_MANAGER: &str = names::MANAGER;
/// Requests under way to the API server for one stack.
const AT_ONCE: usize = 8;

/// What became of the children.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Workloads as the API server returned them.
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) stateful_sets: BTreeMap<String, StatefulSet>,
    /// By component, what could not be applied and why.
    pub(crate) failures: Vec<Failure>,
}

/// A child that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) component: String,
    pub(crate) child: String,
    pub(crate) reason: String,
}

/// Any child, ready to be sent.
pub(crate) struct Child {
    pub(crate) kind: ApiResource,
    pub(crate) object: DynamicObject,
}

/// Applies and prunes.
///
/// # Errors
/// When what is no longer wanted can't be listed; what could not be applied is in the outcome.
pub(crate) async fn children(
    stack: &Stack,
    children: Children,
    observed: &Observed,
    client: &Client,
) -> Result<Outcome, ReconcileError> {
    let mut outcome = Outcome::default();
    let roles_stay = children.roles.is_none();
    grow_volumes(stack, client, &mut outcome).await;
    let all = in_order(children);
    let (read_first, workloads): (Vec<&Child>, Vec<&Child>) = all.iter().partition(|child| child.is_read_by_pods());
    for together in [read_first, workloads] {
        let applying: Vec<_> = together.iter().map(|child| apply(stack, child, observed, client)).collect();
        let results: Vec<_> = stream::iter(applying).buffered(AT_ONCE).collect().await;
        for (child, result) in together.into_iter().zip(results) {
            outcome.add(child, result);
        }
    }
    prune(stack, &all, roles_stay, client).await?;
    Ok(outcome)
}

impl Child {
    /// What pods read, or are held by, is there before they are.
    fn is_read_by_pods(&self) -> bool {
        matches!(self.kind.kind.as_str(), "ServiceAccount" | "Secret" | "ConfigMap" | "NetworkPolicy")
    }
}

impl Outcome {
    fn add(&mut self, child: &Child, result: kube::Result<DynamicObject>) {
        let applied = match result {
            Ok(applied) => applied,
            Err(error) => {
                self.failures.push(Failure {
                    component: component_of(&child.object).to_owned(),
                    child: format!("{} {}", child.kind.kind, child.object.name_any()),
                    reason: reason_of(&error),
                });
                return;
            }
        };
        let name = applied.name_any();
        match child.kind.kind.as_str() {
            "Deployment" => {
                self.deployments.extend(applied.try_parse().ok().map(|deployment| (name, deployment)));
            }
            "StatefulSet" => {
                self.stateful_sets.extend(applied.try_parse().ok().map(|set| (name, set)));
            }
            _ => {}
        }
    }
}

/// Everything, what is needed first coming first. Taken apart without `..`, so that no child is forgotten.
pub(crate) fn in_order(children: Children) -> Vec<Child> {
    let Children {
        service_accounts,
        secrets,
        config,
        network_policies,
        object_store,
        queue,
        index,
        fetch_model,
        roles,
        beside,
        cdnapi,
        frontend,
        repair,
        check,
        ingress,
        route,
        pod_monitor,
    } = children;
    let mut all = Vec::new();
    all.extend(service_accounts.iter().filter_map(child));
    all.extend(secrets.iter().filter_map(child));
    all.extend(child(&config));
    all.extend(network_policies.iter().filter_map(child));
    for server in [object_store, queue, index].into_iter().flatten() {
        let ServerObjects { config, stateful_set, service, peers, disruption_budget } = server;
        all.extend(config.as_ref().and_then(child));
        all.extend(child(&service).into_iter().chain(child(&peers)));
        all.extend(child(&stateful_set).into_iter().chain(child(&disruption_budget)));
    }
    all.extend(fetch_model.as_ref().and_then(child));
    if let Some(Roles { ingestapi, ingestworker, searchapi }) = roles {
        all.extend(http(&ingestapi));
        all.extend(workers(&ingestworker));
        all.extend(http(&searchapi));
    }
    let Beside { ingestworker, fill, searchapi, remove } = beside;
    all.extend(ingestworker.iter().flat_map(workers));
    all.extend(searchapi.iter().flat_map(http));
    all.extend([fill, remove].iter().flatten().filter_map(child));
    all.extend(http(&cdnapi));
    all.extend(http(&frontend));
    all.extend(repair.as_ref().and_then(child));
    all.extend(check.as_ref().and_then(child));
    all.extend(ingress.as_ref().and_then(child));
    all.extend(route.map(|object| Child { kind: kinds::http_route(), object }));
    all.extend(pod_monitor.map(|object| Child { kind: kinds::pod_monitor(), object }));
    all
}

fn http(objects: &HttpObjects) -> Vec<Child> {
    let HttpObjects { deployment, service, disruption_budget, autoscaler } = objects;
    let service = service.as_ref().and_then(child);
    let all = [service, child(deployment), child(disruption_budget), autoscaler.as_ref().and_then(child)];
    all.into_iter().flatten().collect()
}

fn workers(objects: &WorkerObjects) -> Vec<Child> {
    let WorkerObjects { deployment, disruption_budget } = objects;
    child(deployment).into_iter().chain(child(disruption_budget)).collect()
}

/// `None` can't happen: every kind of Kubernetes can be written and read as JSON.
fn child<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Option<Child> {
    let object = serde_json::from_value(serde_json::to_value(object).ok()?).ok()?;
    Some(Child { kind: ApiResource::erase::<K>(&()), object })
}

async fn apply(stack: &Stack, child: &Child, observed: &Observed, client: &Client) -> kube::Result<DynamicObject> {
    hand_over_replicas(stack, child, observed, client).await;
    let api = api_of(stack, &child.kind, client);
    let name = child.object.name_any();
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let mut object = child.object.clone();
    if let Some(replicas) = first_replicas(stack, child, observed) {
        object.data["spec"]["replicas"] = replicas.into();
    }
    match api.patch(&name, &parameters, &Patch::Apply(&object)).await {
        // A Job's pods can't be changed. One that hasn't done its work yet is made anew.
        Err(kube::Error::Api(refused)) if child.kind.kind == "Job" && refused.is_invalid() => {
            let found = api.get(&name).await?;
            if found.data["status"]["succeeded"].as_i64().unwrap_or(0) == 0 {
                api.delete(&name, &DeleteParams::background()).await?;
            }
            Ok(found)
        }
        Err(kube::Error::Api(refused)) if refused.is_invalid() && object.data["spec"].is_object() => {
            match replace_spec(&api, &object).await {
                Ok(()) => api.patch(&name, &parameters, &Patch::Apply(&object)).await,
                Err(_) => Err(kube::Error::Api(refused)),
            }
        }
        other => other,
    }
}

/// Entries of some lists are told apart by what an apply may change: ports by their number, say. One that somebody changed stays
/// beside ours then, and both together are refused. So the lists as a whole take the place of those that are there, and
/// whoever has done that owns nothing afterwards.
async fn replace_spec(api: &Api<DynamicObject>, object: &DynamicObject) -> kube::Result<()> {
    const REPAIRER: &str = "imagesearch-operator-repair";
    let name = object.name_any();
    let parameters = PatchParams { field_manager: Some(REPAIRER.into()), ..PatchParams::default() };
    let spec = json!({ "spec": object.data["spec"] });
    let replaced = api.patch(&name, &parameters, &Patch::Merge(&spec)).await?;
    let owners = replaced.managed_fields().iter().filter(|entry| entry.manager.as_deref() != Some(REPAIRER));
    let owners = json!({ "metadata": { "managedFields": owners.collect::<Vec<_>>() } });
    api.patch(&name, &parameters, &Patch::Merge(&owners)).await.map(drop)
}

/// Where somebody else says how many pods there are, new ones don't begin with the one that Kubernetes makes of an absent number:
/// workers with as few as there may be, the searchapi of another model with as many as that of the current one has.
fn first_replicas(stack: &Stack, child: &Child, observed: &Observed) -> Option<i32> {
    let name = child.object.name_any();
    let scaling = &stack.ingestworker.scaling;
    if child.kind.kind != "Deployment" || observed.deployments.contains_key(&name) {
        return None;
    }
    if name == stack.child(stack.ingestworker_in_use()) {
        return (scaling.mode == AutoscalingMode::Lag).then_some(scaling.min);
    }
    let is_by_load = child.object.data["spec"]["replicas"].is_null();
    let is_next_searchapi = is_by_load && name == stack.child(stack.searchapi_beside());
    let current = observed.deployments.get(&stack.child(stack.searchapi_in_use())).filter(|_| is_next_searchapi);
    current.and_then(|current| current.spec.replicas)
}

/// A field that only we have set goes when we no longer set it, and `replicas` would be 1 for a moment. So whoever says from
/// now on how many there are says first that there are as many as now.
async fn hand_over_replicas(stack: &Stack, child: &Child, observed: &Observed, client: &Client) {
    let wanted = &child.object.data["spec"]["replicas"];
    let Some(found) = observed.deployments.get(&child.object.name_any()) else { return };
    if child.kind.kind != "Deployment" || !wanted.is_null() || !owns_replicas(found) {
        return;
    }
    let replicas = found.spec.replicas;
    let patch = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": child.object.name_any() },
        "spec": { "replicas": replicas },
    });
    let api = Api::<Deployment>::namespaced(client.clone(), &stack.namespace);
    let parameters = PatchParams::apply(autoscaler::FIELD_MANAGER).force();
    if let Err(error) = api.patch(&child.object.name_any(), &parameters, &Patch::Apply(&patch)).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "replicas could not be handed over");
    }
}

fn owns_replicas(deployment: &Deployment) -> bool {
    let ours = deployment.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    ours.filter_map(|entry| entry.fields_v1.as_ref()).any(|fields| !fields.0["f:spec"]["f:replicas"].is_null())
}

async fn grow_volumes(stack: &Stack, client: &Client, outcome: &mut Outcome) {
    let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &stack.namespace);
    for (component, server) in stack.servers() {
        for claim in &server.volumes.grow {
            let patch = json!({ "spec": { "resources": { "requests": { "storage": server.storage } } } });
            if let Err(error) = api.patch(claim, &PatchParams::default(), &Patch::Merge(&patch)).await {
                outcome.failures.push(Failure {
                    component: component.label().to_owned(),
                    child: format!("PersistentVolumeClaim {claim}"),
                    reason: reason_of(&error),
                });
            }
        }
    }
}

/// Removes children that nobody wants any more. While the first model is being fetched, the roles that load it stay.
async fn prune(stack: &Stack, wanted: &[Child], roles_stay: bool, client: &Client) -> Result<(), ReconcileError> {
    let kinds = pruned_kinds(stack).into_iter();
    let pruning: Vec<_> = kinds.map(|kind| prune_kind(stack, wanted, roles_stay, kind, client)).collect();
    stream::iter(pruning).buffered(AT_ONCE).try_collect().await
}

async fn prune_kind(
    stack: &Stack,
    wanted: &[Child],
    roles_stay: bool,
    kind: ApiResource,
    client: &Client,
) -> Result<(), ReconcileError> {
    let failed = |source| ReconcileError::Prune { what: kind.plural.clone(), source };
    let api = api_of(stack, &kind, client);
    let selector = ListParams::default().labels(&names::list_selector(&stack.name));
    let found = match api.list_metadata(&selector).await {
        Ok(found) => found,
        // The kind isn't known here, so there are none.
        Err(kube::Error::Api(error)) if error.is_not_found() => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for object in found {
        let name = object.name_any();
        let is_wanted = wanted.iter().any(|child| child.kind.kind == kind.kind && child.object.name_any() == name)
            || kind.kind == "Job" && stack.model.steps.kept_jobs.contains(&name);
        let loads_model = Component::LOADING_MODEL.iter().any(|role| role.label() == component_of(&object));
        let waits = roles_stay && loads_model;
        // Secrets that are kept have no owner; others belong to a child of ours, as a CronJob's Jobs do.
        let ours = kind.kind == "Secret" || object.owner_references().iter().any(|owner| owner.uid == stack.owner.uid);
        if is_wanted || waits || !ours {
            continue;
        }
        tracing::info!(namespace = stack.namespace, stack = stack.name, kind = kind.kind, name, "removing");
        match api.delete(&name, &DeleteParams::background()).await {
            Err(kube::Error::Api(error)) if error.is_not_found() => {}
            Err(source) => return Err(failed(source)),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Everything that a change of the spec can make superfluous. Volumes are not among it.
fn pruned_kinds(stack: &Stack) -> Vec<ApiResource> {
    let mut kinds = vec![
        ApiResource::erase::<CronJob>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<Ingress>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
    ];
    if stack.knows_pod_monitors {
        kinds.push(kinds::pod_monitor());
    }
    if stack.knows_http_routes {
        kinds.push(kinds::http_route());
    }
    kinds
}

fn api_of(stack: &Stack, kind: &ApiResource, client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &stack.namespace, kind)
}

fn component_of(object: &impl ResourceExt) -> &str {
    object.labels().get(COMPONENT_LABEL).map_or(Component::Stack.label(), String::as_str)
}

/// What a person wants to read of it.
fn reason_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
