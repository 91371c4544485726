//! What is in the cluster now: read anew for each reconcile, by labels and by the names that the spec gives.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::APIResourceList,
    jiff::Timestamp,
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, core::ApiResource};
use serde::de::DeserializeOwned;

use super::{error::ReconcileError, kinds, names};
use crate::crd::{AuthType, ImageSearchStack, StoreType};

/// Everything that decisions rest on.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// When it was looked.
    pub(crate) now: Timestamp,
    /// The namespace is being deleted: nothing may be made in it.
    pub(crate) terminating: bool,
    /// Secrets of ours, and those that the spec names; by name.
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) deployments: BTreeMap<String, Deployment>,
    pub(crate) stateful_sets: BTreeMap<String, StatefulSet>,
    pub(crate) claims: BTreeMap<String, PersistentVolumeClaim>,
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) storage_classes: BTreeMap<String, StorageClass>,
    /// The cluster knows PodMonitors.
    pub(crate) knows_pod_monitors: bool,
    /// The cluster knows the routes of the Gateway API.
    pub(crate) knows_http_routes: bool,
}

/// Which kinds that don't belong to Kubernetes the cluster knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) pod_monitors: bool,
    pub(crate) http_routes: bool,
}

/// Reads it all.
///
/// # Errors
/// When the API server doesn't answer; nothing is decided on half of a picture.
pub(crate) async fn observed(
    stack: &ImageSearchStack,
    client: &Client,
    known: Known,
) -> Result<Observed, ReconcileError> {
    let namespace = stack.namespace().ok_or(ReconcileError::NoNamespace)?;
    let name = stack.name_any();
    let (terminating, secrets, deployments, stateful_sets, claims, jobs, pods) = tokio::try_join!(
        terminating(client, &namespace),
        secrets(client, &namespace, stack),
        ours::<Deployment>(client, &namespace, &name),
        ours::<StatefulSet>(client, &namespace, &name),
        ours::<PersistentVolumeClaim>(client, &namespace, &name),
        ours::<Job>(client, &namespace, &name),
        ours::<Pod>(client, &namespace, &name),
    )?;
    let storage_classes = if claims.is_empty() { BTreeMap::new() } else { storage_classes(client).await? };
    Ok(Observed {
        now: Timestamp::now(),
        terminating,
        secrets,
        deployments,
        stateful_sets,
        claims,
        jobs,
        pods: pods.into_values().collect(),
        storage_classes,
        knows_pod_monitors: known.pod_monitors,
        knows_http_routes: known.http_routes,
    })
}

async fn terminating(client: &Client, namespace: &str) -> Result<bool, ReconcileError> {
    let found = Api::<Namespace>::all(client.clone()).get_opt(namespace).await.map_err(reading("the namespace"))?;
    Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}

/// Asks the API server which kinds it knows.
///
/// # Errors
/// When it doesn't answer.
pub(crate) async fn known(client: &Client) -> Result<Known, ReconcileError> {
    let (pod_monitors, http_routes) =
        tokio::try_join!(knows(client, kinds::pod_monitor()), knows(client, kinds::http_route()))?;
    Ok(Known { pod_monitors, http_routes })
}

async fn knows(client: &Client, kind: ApiResource) -> Result<bool, ReconcileError> {
    match client.list_api_group_resources(&kind.api_version).await {
        Ok(list) => Ok(lists(&list, &kind)),
        // A group that is not there is answered in words that are no Status.
        Err(kube::Error::Api(error)) if error.code == 404 => Ok(false),
        Err(source) => Err(ReconcileError::Read { what: "the kinds that the cluster knows".into(), source }),
    }
}

/// Of a group a cluster may have other kinds alone.
fn lists(list: &APIResourceList, kind: &ApiResource) -> bool {
    list.resources.iter().any(|found| found.kind == kind.kind && found.name == kind.plural)
}

/// Children of one kind, by name.
async fn ours<K>(client: &Client, namespace: &str, stack: &str) -> Result<BTreeMap<String, K>, ReconcileError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let selector = ListParams::default().labels(&names::list_selector(stack));
    let list = api.list(&selector).await.map_err(reading(&K::plural(&())))?;
    Ok(list.into_iter().map(|object| (object.name_any(), object)).collect())
}

async fn secrets(
    client: &Client,
    namespace: &str,
    stack: &ImageSearchStack,
) -> Result<BTreeMap<String, Secret>, ReconcileError> {
    let mut secrets = ours::<Secret>(client, namespace, &stack.name_any()).await?;
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    for name in needed_secrets(stack) {
        if secrets.contains_key(&name) {
            continue;
        }
        if let Some(secret) = api.get_opt(&name).await.map_err(reading(&format!("the Secret {name}")))? {
            secrets.insert(name, secret);
        }
    }
    Ok(secrets)
}

/// The Secrets whose contents matter to pods: those that the spec names, and those that the operator makes. The latter are asked
/// for by their names too: without the label that somebody took away, they would be made anew, and open nothing.
pub(crate) fn needed_secrets(stack: &ImageSearchStack) -> Vec<String> {
    let mut names = referenced_secrets(stack);
    names.extend(generated_secrets(stack));
    names
}

fn generated_secrets(stack: &ImageSearchStack) -> impl Iterator<Item = String> {
    let spec = &stack.spec;
    let made = |managed: StoreType, suffix: &str| (managed == StoreType::Managed).then(|| suffix.to_owned());
    let stores = [
        made(spec.object_store.r#type, names::OBJECT_STORE_CREDENTIALS),
        made(spec.queue.r#type, names::QUEUE_CREDENTIALS),
    ];
    let keys = spec.auth.keys.iter().filter(|_| spec.auth.r#type == AuthType::ApiKeys);
    let keys = keys.map(|key| names::key(&key.name));
    stores.into_iter().flatten().chain(keys).map(|suffix| names::child(&stack.name_any(), &suffix))
}

fn referenced_secrets(stack: &ImageSearchStack) -> Vec<String> {
    let spec = &stack.spec;
    let queue = spec.queue.external.as_ref();
    let index = spec.index.external.as_ref();
    let objects = spec.object_store.external.as_ref();
    let tls = [queue.and_then(|queue| queue.tls.as_ref()), index.and_then(|index| index.tls.as_ref())];
    let certificates = tls.into_iter().flatten().flat_map(|tls| [&tls.ca_secret_ref, &tls.certificate_secret_ref]);
    let mut names: Vec<String> = certificates
        .flatten()
        .chain(queue.and_then(|queue| queue.credentials_secret_ref.as_ref()))
        .chain(index.and_then(|index| index.credentials_secret_ref.as_ref()))
        .chain(objects.and_then(|objects| objects.credentials_secret_ref.as_ref()))
        .chain(objects.and_then(|objects| objects.ca_secret_ref.as_ref()))
        .map(|secret| secret.name.clone())
        .chain(spec.model.token_secret_ref.as_ref().map(|secret| secret.name.clone()))
        .collect();
    names.sort();
    names.dedup();
    names
}

async fn storage_classes(client: &Client) -> Result<BTreeMap<String, StorageClass>, ReconcileError> {
    let list = Api::<StorageClass>::all(client.clone()).list(&ListParams::default()).await;
    let list = list.map_err(reading("the storage classes"))?;
    Ok(list.into_iter().map(|class| (class.name_any(), class)).collect())
}

fn reading(what: &str) -> impl FnOnce(kube::Error) -> ReconcileError {
    let what = what.to_owned();
    move |source| ReconcileError::Read { what, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_kind_is_known_by_itself_and_not_by_its_group() {
        let resource = |kind: &str, plural: &str| json!({ "kind": kind, "name": plural, "singularName": "", "namespaced": true, "verbs": [] });
        let list = |resources: serde_json::Value| -> APIResourceList {
            serde_json::from_value(json!({ "groupVersion": "monitoring.coreos.com/v1", "resources": resources }))
                .unwrap()
        };
        let others =
            list(json!([resource("ServiceMonitor", "servicemonitors"), resource("PodMonitor", "podmonitors/status")]));
        assert!(!lists(&others, &kinds::pod_monitor()));
        let with_it =
            list(json!([resource("ServiceMonitor", "servicemonitors"), resource("PodMonitor", "podmonitors")]));
        assert!(lists(&with_it, &kinds::pod_monitor()));
    }
}
