//! The operator of these tests is the account that its chart makes, with the rights that the chart gives it and no others: so
//! that they suffice is shown by every test that it comes through.

use std::path::Path;

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Secret},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::{NamedTempFile, TempPath};

use super::world::World;

/// As `charts/install.yaml` calls it.
const ACCOUNT: &str = "system:serviceaccount:imagesearch-system:imagesearch-operator";
/// The one Lease that it may write.
pub(crate) const LEASE: &str = "imagesearch-operator";

/// What the chart makes when no value is set.
pub(crate) fn installed() -> Vec<DynamicObject> {
    serde_saphyr::from_multiple(include_str!("../../../charts/install.yaml")).unwrap()
}

/// As `kubectl apply` does.
pub(crate) async fn apply(
    client: &Client,
    object: &DynamicObject,
    parameters: &PatchParams,
) -> kube::Result<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap());
    let api: Api<DynamicObject> = match object.namespace() {
        None => Api::all_with(client.clone(), &kind),
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &kind),
    };
    api.patch(&object.name_any(), parameters, &Patch::Apply(object)).await
}

/// What the account may do anywhere.
pub(crate) async fn grant(client: &Client) {
    grant_kinds(client, &["ClusterRole", "ClusterRoleBinding"], None).await;
}

/// What it may do in its own namespace. Here that is the one of the stack: each test has an operator of its own.
pub(crate) async fn grant_in(client: &Client, namespace: &str) {
    grant_kinds(client, &["Role", "RoleBinding"], Some(namespace)).await;
}

async fn grant_kinds(client: &Client, kinds: &[&str], namespace: Option<&str>) {
    let parameters = PatchParams::apply("imagesearch-test").force();
    for mut object in installed() {
        if kinds.contains(&object.types.as_ref().unwrap().kind.as_str()) {
            object.metadata.namespace = namespace.map(str::to_owned);
            apply(client, &object, &parameters).await.unwrap();
        }
    }
}

/// A kubeconfig whose user acts as the account.
pub(crate) fn account(mut kubeconfig: Kubeconfig) -> TempPath {
    for user in &mut kubeconfig.auth_infos {
        user.auth_info.get_or_insert_default().impersonate = Some(ACCOUNT.into());
    }
    let file = NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, &kubeconfig).unwrap();
    file.into_temp_path()
}

pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn the_operator_of_these_tests_may_do_no_more_than_its_chart_says() {
    let world = World::start().await;
    let client = client(&world.account).await;
    let list = ListParams::default();
    Api::<Secret>::all(client.clone()).list(&list).await.unwrap();
    let refused = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.is_forbidden());
    assert!(refused(Api::<Node>::all(client.clone()).list(&list).await.unwrap_err()));
    let secrets = Api::<Secret>::namespaced(client.clone(), &world.namespace);
    assert!(refused(secrets.delete_collection(&DeleteParams::default(), &list).await.unwrap_err()));
    let leases = |namespace: &str| Api::<Lease>::namespaced(client.clone(), namespace);
    assert!(leases(&world.namespace).get_opt(LEASE).await.unwrap().is_none());
    assert!(refused(leases(&world.namespace).get("another").await.unwrap_err()));
    assert!(refused(leases("default").get(LEASE).await.unwrap_err()));
}
