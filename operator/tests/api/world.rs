//! An API server with our resource on it, and a namespace for each test.

use std::{sync::LazyLock, time::Duration};

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    config::Kubeconfig,
    runtime::{conditions, wait::await_condition},
};
use operator::crd::{self, ImageSearchStack};
use serde_json::{Value, json};
use tempfile::TempPath;

use super::rights;

pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

static INSTALLED: LazyLock<tokio::sync::OnceCell<()>> = LazyLock::new(tokio::sync::OnceCell::new);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// With which the operator comes.
    pub(crate) account: TempPath,
}

impl World {
    /// A namespace of its own, on a server that knows our resource.
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_default().await.expect("KUBECONFIG names no cluster");
        INSTALLED.get_or_init(|| install(client.clone())).await;
        Self::on(client, Kubeconfig::read().unwrap()).await
    }

    /// A namespace of its own on a server that knows our resource already.
    pub(crate) async fn on(client: Client, kubeconfig: Kubeconfig) -> Self {
        let namespaces = Api::<Namespace>::all(client.clone());
        let namespace = json!({ "metadata": { "generateName": "imagesearch-test-" } });
        let made =
            namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        let namespace = made.metadata.name.unwrap();
        rights::grant_in(&client, &namespace).await;
        Self { client, namespace, account: rights::account(kubeconfig) }
    }

    pub(crate) fn stacks(&self) -> Api<ImageSearchStack> {
        self.all()
    }

    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a stack as `kubectl apply` does; `spec` as it is written, or nothing.
    pub(crate) async fn apply(&self, name: &str, spec: Option<Value>) -> kube::Result<ImageSearchStack> {
        self.apply_with(name, spec, &PatchParams::apply("kubectl").force()).await
    }

    pub(crate) async fn dry_run(&self, name: &str, spec: Option<Value>) -> kube::Result<ImageSearchStack> {
        self.apply_with(name, spec, &PatchParams::apply("kubectl").force().dry_run()).await
    }

    async fn apply_with(
        &self,
        name: &str,
        spec: Option<Value>,
        parameters: &PatchParams,
    ) -> kube::Result<ImageSearchStack> {
        let mut parameters = parameters.clone();
        parameters.field_validation = Some(kube::api::ValidationDirective::Strict);
        let mut stack = json!({
            "apiVersion": "imagesearch.dev/v1alpha1", "kind": "ImageSearchStack", "metadata": { "name": name },
        });
        if let Some(spec) = spec {
            stack["spec"] = spec;
        }
        let resource = kube::core::ApiResource::erase::<ImageSearchStack>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let applied = api.patch(name, &parameters, &Patch::Apply(&stack)).await?;
        Ok(applied.try_parse().expect("what the server returns is a stack"))
    }
}

/// Our resource, what the operator may do, and kinds of others that a cluster may know: of those no more than that they exist.
pub(crate) async fn install(client: Client) {
    rights::grant(&client).await;
    let definitions = Api::<CustomResourceDefinition>::all(client);
    let parameters = PatchParams::apply("imagesearch-test").force();
    let others = [
        ("podmonitors", "PodMonitor", "monitoring.coreos.com"),
        ("httproutes", "HTTPRoute", "gateway.networking.k8s.io"),
    ];
    for definition in [crd::definition()].into_iter().chain(others.map(definition_of)) {
        let name = definition.metadata.name.clone().unwrap();
        definitions.patch(&name, &parameters, &Patch::Apply(definition)).await.expect("the definition is refused");
        let established = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(DEADLINE, established).await.expect("the definition is not established").unwrap();
    }
}

fn definition_of((plural, kind, group): (&str, &str, &str)) -> CustomResourceDefinition {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    serde_json::from_value(json!({
        // The API server keeps groups that end like its own for itself, but for what is approved.
        "metadata": { "name": format!("{plural}.{group}"), "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" } },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    }))
    .unwrap()
}
