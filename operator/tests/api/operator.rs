//! The operator as a process against a real API server. There are no pods here, so nothing becomes ready; what is written,
//! kept, repaired and removed is all the same.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Namespace, Secret, Service},
    networking::v1::Ingress,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use operator::crd::{ConditionStatus, ImageSearchStack};
use serde_json::json;

use super::{
    process::{REPAIRED_WITHIN, until},
    world::{DEADLINE, World},
};

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn credentials_are_made_once_and_anew_when_that_is_wished() {
    let (world, mut operator) = World::with_stack(json!({})).await;
    let queue = async || world.secret("photos-queue-credentials", "password").await.unwrap();
    let key = async || world.secret("photos-key-admin", "key").await.unwrap();
    let (password, admin) = (queue().await, key().await);
    assert!(admin.starts_with("isk_"));
    operator.live_again(&world).await;
    world.apply("photos", Some(json!({ "searchApi": { "replicas": 2 } }))).await.unwrap();
    world.until_settled().await;
    assert_eq!((queue().await, key().await), (password.clone(), admin.clone()));

    world.apply("photos", Some(json!({ "rotateCredentials": "2026-11" }))).await.unwrap();
    world.until_settled().await;
    assert_ne!(queue().await, password);
    assert_ne!(key().await, admin);
    // Pods that have not rolled yet are still let in.
    assert_eq!(world.secret("photos-queue-credentials", "previous-password").await.unwrap(), password);
    let conf = world.secret("photos-queue-config", "nats.conf").await.unwrap();
    assert!(conf.contains(&password) && conf.contains(&queue().await));
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_stack_of_the_same_name_takes_over_what_was_retained() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let password = world.secret("photos-queue-credentials", "password").await.unwrap();
    world.stacks().delete("photos", &DeleteParams::default()).await.unwrap();
    until(DEADLINE, "the stack is gone", async || {
        world.stacks().get_opt("photos").await.unwrap().is_none().then_some(())
    })
    .await;
    world.apply("photos", None).await.unwrap();
    world.until_settled().await;
    assert_eq!(world.secret("photos-queue-credentials", "password").await.unwrap(), password);
    let set = world.all::<StatefulSet>().get("photos-queue").await.unwrap().spec;
    let policy = set.persistent_volume_claim_retention_policy.unwrap();
    assert_eq!(policy.when_deleted.as_deref(), Some("Retain"));
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_paused_stack_is_left_alone() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let pause = json!({ "metadata": { "annotations": { "imagesearch.dev/paused": "true" } } });
    world.stacks().patch("photos", &PatchParams::default(), &Patch::Merge(&pause)).await.unwrap();
    until(DEADLINE, "it says that it is paused", async || {
        (world.condition("Progressing").await?.reason == "Paused").then_some(())
    })
    .await;
    let services = world.all::<Service>();
    services.delete("photos-searchapi", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(services.get_opt("photos-searchapi").await.unwrap().is_none());

    let resume = json!({ "metadata": { "annotations": { "imagesearch.dev/paused": null } } });
    world.stacks().patch("photos", &PatchParams::default(), &Patch::Merge(&resume)).await.unwrap();
    until(REPAIRED_WITHIN, "the Service is back", async || services.get_opt("photos-searchapi").await.unwrap()).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_secret_that_is_not_there_is_waited_for_by_name() {
    let external = json!({ "bucket": "photos", "credentialsSecretRef": { "name": "s3" } });
    let (world, _operator) =
        World::with_stack(json!({ "objectStore": { "type": "External", "external": external } })).await;
    let ready = world.condition("Ready").await.unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, "Waiting"));
    assert_eq!(ready.message, "spec.objectStore.external.credentialsSecretRef: the Secret \"s3\" is not there");
    let secret = json!({
        "metadata": { "name": "s3" }, "stringData": { "access-key-id": "a", "secret-access-key": "b" },
    });
    world.all::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    until(REPAIRED_WITHIN, "the stack is built", async || {
        world.all::<Deployment>().get_opt("photos-cdnapi").await.unwrap()
    })
    .await;
    // Another content rolls the pods.
    let hash = async || {
        let deployment = world.all::<Deployment>().get("photos-cdnapi").await.unwrap();
        deployment.spec.template.metadata.unwrap().annotations.unwrap()["imagesearch.dev/config-hash"].clone()
    };
    let before = hash().await;
    let other = json!({ "stringData": { "secret-access-key": "c" } });
    world.all::<Secret>().patch("s3", &PatchParams::default(), &Patch::Merge(&other)).await.unwrap();
    until(REPAIRED_WITHIN, "the pods roll", async || (hash().await != before).then_some(())).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn handing_over_the_number_of_pods_does_not_change_it() {
    let (world, _operator) = World::with_stack(json!({ "searchApi": { "replicas": 5 } })).await;
    let deployments = world.all::<Deployment>();
    let replicas = async || deployments.get("photos-searchapi").await.unwrap().spec.replicas;
    until(DEADLINE, "there are five", async || (replicas().await == Some(5)).then_some(())).await;
    world.apply("photos", Some(json!({ "searchApi": { "autoscaling": { "minReplicas": 2 } } }))).await.unwrap();
    world.until_settled().await;
    assert_eq!(replicas().await, Some(5));
    // Whoever scales from now on is not fought.
    let scale = json!({ "spec": { "replicas": 8 } });
    deployments.patch_scale("photos-searchapi", &PatchParams::default(), &Patch::Merge(&scale)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(replicas().await, Some(8));
    world.apply("photos", Some(json!({ "searchApi": { "replicas": 3 } }))).await.unwrap();
    until(REPAIRED_WITHIN, "there are three", async || (replicas().await == Some(3)).then_some(())).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn workers_begin_with_the_fewest_and_the_autoscaler_owns_their_number() {
    let scaling = json!({ "minReplicas": 3, "maxReplicas": 5 });
    let (world, _operator) = World::with_stack(json!({ "ingestWorker": { "autoscaling": scaling } })).await;
    let deployments = world.all::<Deployment>();
    until(DEADLINE, "the autoscaler owns the number", async || {
        let deployment = deployments.get("photos-ingestworker").await.unwrap();
        assert_eq!(deployment.spec.replicas, Some(3), "from the first moment on");
        let owners = deployment
            .managed_fields()
            .iter()
            .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| !fields.0["f:spec"]["f:replicas"].is_null()));
        let owners: Vec<_> = owners.filter_map(|entry| entry.manager.as_deref()).collect();
        (owners == ["imagesearch-autoscaler"]).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_namespace_that_ends_is_left_alone() {
    let (world, _operator) = World::with_stack(json!({})).await;
    // Without its controller a namespace stays as it is while it ends, for as long as this test looks.
    let namespaces = Api::<Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let services = world.all::<Service>();
    services.delete("photos-searchapi", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(services.get_opt("photos-searchapi").await.unwrap().is_none());
    // Nothing has a finalizer, so nothing is waited for.
    assert!(world.stacks().get("photos").await.unwrap().finalizers().is_empty());
}

/// What is in a stack's namespace and not the stack's is not touched.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn stacks_side_by_side_leave_each_other_alone() {
    let (world, _operator) = World::with_stack(json!({})).await;
    world.apply("imagesearch", Some(json!({ "ingress": { "host": "two.example.com" } }))).await.unwrap();
    let stranger = json!({ "metadata": { "name": "photos-notes" }, "data": { "a": "b" } });
    world.all::<ConfigMap>().create(&PostParams::default(), &serde_json::from_value(stranger).unwrap()).await.unwrap();
    until(DEADLINE, "both are there", async || world.all::<Ingress>().get_opt("imagesearch-frontend").await.unwrap())
        .await;
    world.stacks().delete("imagesearch", &DeleteParams::default()).await.unwrap();
    world.apply("photos", Some(json!({ "searchApi": { "replicas": 2 } }))).await.unwrap();
    world.until_settled().await;
    assert!(world.all::<ConfigMap>().get_opt("photos-notes").await.unwrap().is_some());
    let stack: Option<ImageSearchStack> = world.stacks().get_opt("photos").await.unwrap();
    assert!(stack.is_some());
    assert_ne!(
        world.secret("photos-queue-credentials", "password").await,
        world.secret("imagesearch-queue-credentials", "password").await
    );
}
