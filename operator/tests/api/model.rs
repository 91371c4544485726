//! A change of the model, from the fetch of the next one to the removal of the last. Nobody here runs pods, so the test does.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use operator::crd::{BesideState, Condition, ConditionStatus, ModelStatus, Slot};
use serde_json::{Value, json};

use super::{
    process::{Operator, until},
    world::{DEADLINE, World},
};

/// How soon searches are back at the model of before.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How long it is looked whether something stays as it is.
const STAYS: Duration = Duration::from_secs(3);
const OTHER: &str = "https://example.com/other.tar";

/// A stack whose searches are scaled by their load.
fn bundled() -> Value {
    json!({ "searchApi": { "autoscaling": {} } })
}

fn other(keep: &str) -> Value {
    let model = json!({ "source": OTHER, "keepPrevious": keep, "reindexWorkers": 2 });
    json!({ "model": model, "searchApi": { "autoscaling": {} } })
}

/// A stack that serves with the bundled model.
async fn serving() -> (World, Operator) {
    let (world, operator) = World::with_stack(bundled()).await;
    world.until_ready().await;
    (world, operator)
}

/// Another model is wanted, fetched, and about to be filled.
async fn building(world: &World) {
    world.apply("photos", Some(other("1h"))).await.unwrap();
    let fetch = world.until_job("photos-model-").await;
    world.until_current_says("Fetching").await;
    world.assert_ready().await;
    world.let_end(&fetch).await;
    world.until_beside(Some(BesideState::Building)).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn searches_move_to_another_model_and_back_and_what_is_left_is_removed() {
    let (world, mut operator) = serving().await;
    let (pods, deployments) = (world.all::<Pod>(), world.all::<Deployment>());
    let scale = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    deployments.patch_scale("photos-searchapi", &PatchParams::default(), &scale).await.unwrap();
    world.let_roles_serve().await;
    world.run_pod("photos-ingestapi", "last").await;
    building(&world).await;
    until(DEADLINE, "its workers are there", async || deployments.get_opt("photos-ingestworker-b").await.unwrap())
        .await;
    // Who is asked to end may still take an upload.
    pods.delete("last", &DeleteParams::default()).await.unwrap();
    world.let_roles_serve_for(STAYS).await;
    world.run_pod("photos-ingestapi", "next").await;
    assert!(pods.get("last").await.unwrap().metadata.deletion_timestamp.is_some());
    assert_eq!(world.job("photos-fill-").await, None);
    world.assert_ready().await;
    world.let_go("last").await;
    let fill = world.until_job("photos-fill-").await;
    assert_eq!(world.condition("Progressing").await.unwrap().reason, "ModelChange");

    // It goes on while ingestapi rolls, and when the operator is another one.
    operator.live_again(&world).await;
    let mut labelled = other("1h");
    labelled["ingestApi"] = json!({ "labels": { "a": "b" } });
    let uid = world.all::<Job>().get(&fill).await.unwrap().uid();
    world.apply("photos", Some(labelled)).await.unwrap();
    world.until_settled().await;
    tokio::time::sleep(STAYS).await;
    assert_eq!(world.all::<Job>().get(&fill).await.unwrap().uid(), uid);
    assert_eq!(deployments.get_opt("photos-searchapi-b").await.unwrap(), None);

    world.until_ready().await;
    world.let_end(&fill).await;
    until(DEADLINE, "its searchapi starts", async || deployments.get_opt("photos-searchapi-b").await.unwrap()).await;
    assert_eq!(world.selected().await, "searchapi");
    world.let_roles_serve().await;
    world.until_searched_by("searchapi-b", DEADLINE).await;
    world.until_beside(Some(BesideState::Kept)).await;
    assert_eq!(world.model().await.current.unwrap().slot, Slot::B);
    until(DEADLINE, "what filled it goes", async || world.job("photos-fill-").await.is_none().then_some(())).await;
    world.until_ready().await;
    assert_eq!(world.condition("ModelCurrent").await.unwrap().status, ConditionStatus::True);

    for (role, replicas) in [("searchapi", 3), ("searchapi-b", 3), ("ingestworker", 2), ("ingestworker-b", 2)] {
        let found = deployments.get(&format!("photos-{role}")).await.unwrap().spec.replicas;
        assert_eq!(found, Some(replicas), "{role}");
    }

    // Back, and forth again.
    world.apply("photos", Some(bundled())).await.unwrap();
    world.until_searched_by("searchapi", BACK_WITHIN).await;
    world.until_ready().await;
    world.apply("photos", Some(other("3s"))).await.unwrap();
    world.until_searched_by("searchapi-b", BACK_WITHIN).await;
    world.until_beside(Some(BesideState::Leaving)).await;
    world.assert_ready().await;
    leave(&world).await;
}

/// The model in slot A leaves.
async fn leave(world: &World) {
    let deployments = world.all::<Deployment>();
    for role in ["photos-searchapi", "photos-ingestworker"] {
        until(DEADLINE, &format!("{role} goes"), async || {
            deployments.get_opt(role).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    assert_eq!(world.job("photos-remove-").await, None, "ingestapi has not rolled");
    assert!(world.all::<NetworkPolicy>().get_opt("photos-searchapi").await.unwrap().is_some());
    // One is left that sends uploads to both models.
    world.let_roles_serve_for(STAYS).await;
    assert_eq!(world.job("photos-remove-").await, None);
    world.all::<Pod>().delete("next", &DeleteParams::default()).await.unwrap();
    world.let_go("next").await;
    let remove = world.until_job("photos-remove-").await;
    world.let_end(&remove).await;
    world.until_beside(None).await;
    until(DEADLINE, "nothing is left of it", async || {
        let children = world.children("photos").await;
        let is_there = |kind, name: &str| children.contains_key(&(kind, name.to_owned()));
        let kinds = ["Deployment", "PodDisruptionBudget", "NetworkPolicy"];
        let roles =
            kinds.into_iter().any(|kind| is_there(kind, "photos-searchapi") || is_there(kind, "photos-ingestworker"));
        (!roles && !is_there("NetworkPolicy", "photos-modelchange") && !is_there("Job", &remove)).then_some(())
    })
    .await;
    world.until_ready().await;
    assert_eq!(world.selected().await, "searchapi-b");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_model_that_can_t_be_used_is_refused_and_tried_again_when_that_is_wished() {
    let (world, _operator) = serving().await;
    building(&world).await;
    world.until_ready().await;
    let fill = world.until_job("photos-fill-").await;
    world.let_fail(&fill, 6, "error: the model is none").await;
    let refused = world.until_current_says("Refused").await;
    let words = format!("it ended with 6 (Error): the model is none; delete the Job {fill} to try again");
    assert!(refused.message.ends_with(&words), "{}", refused.message);
    assert_eq!(world.condition("Degraded").await.unwrap().status, ConditionStatus::True);
    world.assert_ready().await;

    until(DEADLINE, "what it had is removed", async || {
        world.let_roles_serve().await;
        world.job("photos-remove-").await
    })
    .await;
    let remove = world.until_job("photos-remove-").await;
    world.let_end(&remove).await;
    world.until_beside(None).await;
    world.until_ready().await;
    tokio::time::sleep(STAYS).await;
    assert_eq!(world.model().await.beside, None);
    assert_eq!(world.condition("ModelCurrent").await.unwrap().reason, "Refused");
    assert_eq!(world.selected().await, "searchapi");
    world.all::<Job>().delete(&fill, &DeleteParams::background()).await.unwrap();
    world.until_beside(Some(BesideState::Building)).await;
    world.until_ready().await;
    world.until_job("photos-fill-").await;
}

impl World {
    async fn model(&self) -> ModelStatus {
        self.stacks().get("photos").await.unwrap().status.unwrap().model.unwrap()
    }

    async fn until_beside(&self, state: Option<BesideState>) {
        until(DEADLINE, &format!("the model beside is {state:?}"), async || {
            (self.model().await.beside.map(|beside| beside.state) == state).then_some(())
        })
        .await;
    }

    async fn until_current_says(&self, reason: &str) -> Condition {
        until(DEADLINE, &format!("ModelCurrent says {reason}"), async || {
            self.condition("ModelCurrent").await.filter(|condition| condition.reason == reason)
        })
        .await
    }

    async fn job(&self, prefix: &str) -> Option<String> {
        let jobs = self.all::<Job>().list(&ListParams::default()).await.unwrap();
        let living = jobs.items.into_iter().filter(|job| job.metadata.deletion_timestamp.is_none());
        living.map(|job| job.name_any()).find(|name| name.starts_with(prefix))
    }

    async fn until_job(&self, prefix: &str) -> String {
        until(DEADLINE, &format!("a Job {prefix}…"), async || self.job(prefix).await).await
    }

    /// Where the Service sends searches.
    async fn selected(&self) -> String {
        let service = self.all::<Service>().get("photos-searchapi").await.unwrap();
        service.spec.unwrap().selector.unwrap()["app.kubernetes.io/component"].clone()
    }

    async fn until_searched_by(&self, component: &str, within: Duration) {
        let begun = Instant::now();
        until(within, &format!("searches go to {component}"), async || {
            (self.selected().await == component).then_some(())
        })
        .await;
        println!("searches went to {component} after {:?}", begun.elapsed());
    }

    async fn assert_ready(&self) {
        let ready = self.condition("Ready").await.unwrap();
        assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::True, "Serving"), "{}", ready.message);
    }

    async fn until_ready(&self) {
        until(DEADLINE, "the stack is ready", async || {
            self.let_stores_serve().await;
            self.let_roles_serve().await;
            let generation = self.stacks().get("photos").await.unwrap().metadata.generation;
            let ready = self.condition("Ready").await?;
            (ready.status == ConditionStatus::True && ready.observed_generation == generation).then_some(())
        })
        .await;
    }

    /// Says of each Deployment that its pods are ready, all of the newest revision.
    async fn let_roles_serve(&self) {
        for deployment in self.all::<Deployment>().list(&ListParams::default()).await.unwrap() {
            self.let_serve(&deployment).await;
        }
    }

    async fn let_roles_serve_for(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.let_roles_serve().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn let_serve(&self, deployment: &Deployment) {
        let (generation, replicas) = (deployment.metadata.generation, deployment.spec.replicas);
        let is_said = deployment.status.as_ref().is_some_and(|status| {
            (status.observed_generation, status.available_replicas.unwrap_or(0)) == (generation, replicas.unwrap_or(1))
        });
        if is_said {
            return;
        }
        let status = json!({ "status": {
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
        } });
        let (parameters, status) = (PatchParams::default(), Patch::Merge(&status));
        let said = self.all::<Deployment>().patch_status(&deployment.name_any(), &parameters, &status).await;
        // It may have gone meanwhile.
        assert!(said.is_ok() || matches!(said, Err(kube::Error::Api(status)) if status.is_not_found()));
    }

    /// A pod as a Deployment makes it now, that somebody has to let go.
    async fn run_pod(&self, deployment: &str, name: &str) {
        let template = self.all::<Deployment>().get(deployment).await.unwrap().spec.template;
        let mut pod = serde_json::to_value(template).unwrap();
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["finalizers"] = json!(["imagesearch.dev/test"]);
        self.all::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    /// A pod that was deleted is gone.
    async fn let_go(&self, pod: &str) {
        let no_finalizers = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        self.all::<Pod>().patch(pod, &PatchParams::default(), &no_finalizers).await.unwrap();
    }

    /// Says of a Job that it is given up, since its pod ended so.
    async fn let_fail(&self, job: &str, code: i32, message: &str) {
        let now = "2026-01-01T00:00:00Z";
        let template = self.all::<Job>().get(job).await.unwrap().spec.unwrap().template;
        let mut pod = serde_json::to_value(template).unwrap();
        pod["metadata"]["name"] = json!("failed");
        pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(job);
        let pods = self.all::<Pod>();
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let ended = json!({ "exitCode": code, "reason": "Error", "message": message });
        let status = json!({ "status": { "phase": "Failed", "containerStatuses": [{
            "name": "modelchange", "ready": false, "image": "i", "imageID": "", "restartCount": 0,
            "state": { "terminated": ended },
        }] } });
        pods.patch_status("failed", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        let condition = |kind: &str| json!({ "type": kind, "status": "True", "reason": "PodFailurePolicy", "lastTransitionTime": now });
        let status = json!({ "status": {
            "failed": 1, "startTime": now, "uncountedTerminatedPods": {},
            "conditions": [condition("FailureTarget"), condition("Failed")],
        } });
        self.all::<Job>().patch_status(job, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
}
