//! `charts/install.yaml`, for those without Helm.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{PatchParams, PostParams, ValidationDirective},
};
use serde_json::{Value, json};

use super::{
    process::until,
    rights,
    world::{DEADLINE, World},
};

/// `kubectl apply` without `--server-side` writes an object down in an annotation, and of those no object may have more.
const LONGEST_ANNOTATION: usize = 262_144;

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_installs_the_operator_is_taken() {
    let world = World::start().await;
    let mut parameters = PatchParams::apply("kubectl").force();
    parameters.field_validation = Some(ValidationDirective::Strict);
    let installed = rights::installed();
    // What is in it needs it to be there.
    let namespace = rights::apply(&world.client, &installed[0], &parameters).await.unwrap();
    assert_eq!(namespace.name_any(), "imagesearch-system");
    for object in &installed {
        let name = format!("{} {}", object.types.as_ref().unwrap().kind, object.name_any());
        let taken = rights::apply(&world.client, object, &parameters.clone().dry_run()).await;
        taken.unwrap_or_else(|error| panic!("{name} is refused: {error}"));
        assert!(serde_json::to_string(object).unwrap().len() < LONGEST_ANNOTATION, "{name} is too long");
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn the_pods_of_the_operator_are_let_into_its_namespace() {
    let world = World::start().await;
    let installed = rights::installed();
    let parameters = PatchParams::apply("kubectl").force();
    rights::apply(&world.client, &installed[0], &parameters).await.unwrap();
    let deployment = installed.iter().find(|object| object.types.as_ref().unwrap().kind == "Deployment").unwrap();
    let mut pod = deployment.data["spec"]["template"].clone();
    pod["metadata"]["name"] = json!("imagesearch-operator-0");
    let pods = Api::<Pod>::namespaced(world.client.clone(), &installed[0].name_any());
    let create = async |pod: &Value| {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        pods.create(&dry_run, &serde_json::from_value(pod.clone()).unwrap()).await
    };
    create(&pod).await.unwrap();
    // The namespace does refuse pods.
    pod["spec"]["hostNetwork"] = json!(true);
    until(DEADLINE, "a pod is refused", async || {
        create(&pod).await.err().filter(|error| error.to_string().contains("restricted"))
    })
    .await;
}
