//! The operator as a process against a real API server. There are no pods here, so nothing becomes ready; what is written,
//! kept, repaired and removed is all the same.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use operator::crd::{ConditionStatus, ImageSearchStack};
use serde_json::json;

use super::world::{DEADLINE, World};

/// How soon what was changed by hand is as it should be.
pub(crate) const REPAIRED_WITHIN: Duration = Duration::from_secs(10);

/// The program, for one namespace, on a Lease of its own; killed when it goes.
pub(crate) struct Operator {
    process: Child,
    namespace: String,
    identity: String,
}

impl Operator {
    fn start(namespace: &str, identity: &str) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_imagesearch-operator")), namespace, identity)
    }

    /// On the cluster of another `kubeconfig`.
    pub(crate) fn on(kubeconfig: &Path, namespace: &str) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_imagesearch-operator"));
        program.env("KUBECONFIG", kubeconfig);
        Self::run(program, namespace, "one")
    }

    /// With further variables.
    pub(crate) fn with(variables: &[(&str, &str)], namespace: &str) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_imagesearch-operator"));
        program.envs(variables.iter().copied());
        Self::run(program, namespace, "one")
    }

    fn run(mut program: Command, namespace: &str, identity: &str) -> Self {
        let process = program
            .args([
                "--watch-namespace",
                namespace,
                "--lease",
                namespace,
                "--identity",
                identity,
                "--admin",
                "127.0.0.1:0",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, namespace: namespace.to_owned(), identity: identity.to_owned() }
    }

    fn alone(world: &World) -> Self {
        Self::start(&world.namespace, "one")
    }

    /// What a kubelet does: who could not renew its Lease ends, and is started again.
    pub(crate) fn keep_alive(&mut self, kubeconfig: &Path) {
        if self.process.try_wait().unwrap().is_some() {
            *self = Self::on(kubeconfig, &self.namespace.clone());
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        // Whoever was killed still holds the Lease; a new pod has another name.
        self.identity.push('\'');
        *self = Self::start(&self.namespace.clone(), &self.identity.clone());
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks again and again until something is there.
pub(crate) async fn until<T>(deadline: Duration, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < deadline, "{what}: not within {} s", deadline.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl World {
    /// A stack with everything that belongs to it, as far as that goes without pods.
    async fn with_stack(spec: serde_json::Value) -> (Self, Operator) {
        let world = Self::start().await;
        let operator = Operator::alone(&world);
        world.apply("photos", Some(spec)).await.unwrap();
        world.until_settled().await;
        (world, operator)
    }

    pub(crate) async fn until_settled(&self) {
        let stacks = self.stacks();
        until(DEADLINE, "the status tells of the newest spec", async || {
            let stack = stacks.get("photos").await.unwrap();
            (stack.status?.observed_generation == stack.metadata.generation).then_some(())
        })
        .await;
    }

    async fn condition(&self, kind: &str) -> Option<operator::crd::Condition> {
        let status = self.stacks().get("photos").await.unwrap().status?;
        status.conditions.into_iter().find(|condition| condition.r#type == kind)
    }

    async fn secret(&self, name: &str, entry: &str) -> Option<String> {
        let secret = self.all::<Secret>().get_opt(name).await.unwrap()?;
        Some(String::from_utf8(secret.data?.get(entry)?.0.clone()).unwrap())
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_is_changed_by_hand_is_repaired() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let services = world.all::<Service>();
    services.delete("photos-searchapi", &DeleteParams::default()).await.unwrap();
    until(REPAIRED_WITHIN, "the Service is back", async || services.get_opt("photos-searchapi").await.unwrap()).await;

    let deployments = world.all::<Deployment>();
    let edit = json!({ "spec": { "replicas": 7, "template": { "spec": { "containers": [
        { "name": "searchapi", "image": "somebody/elses:1" },
    ] } } } });
    deployments.patch("photos-searchapi", &PatchParams::default(), &Patch::Strategic(&edit)).await.unwrap();
    until(REPAIRED_WITHIN, "the Deployment is as it was", async || {
        let spec = deployments.get("photos-searchapi").await.unwrap().spec;
        let image = spec.template.spec.unwrap().containers[0].image.clone().unwrap();
        (spec.replicas == Some(1) && image.starts_with("imagesearch:")).then_some(())
    })
    .await;

    let config = world.all::<ConfigMap>();
    let edit = json!({ "data": { "searchapi.yaml": "data_dir: /elsewhere" } });
    config.patch("photos-conf", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    until(REPAIRED_WITHIN, "the ConfigMap is as it was", async || {
        config.get("photos-conf").await.unwrap().data.unwrap()["searchapi.yaml"].contains("/data").then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_is_taken_from_the_spec_goes() {
    let spec = json!({
        "ingress": { "host": "photos.example.com" },
        "auth": { "keys": [{ "name": "admin", "scopes": ["admin"] }, { "name": "phone", "scopes": ["read"] }] },
        "searchApi": { "autoscaling": {} },
    });
    let (world, _operator) = World::with_stack(spec).await;
    let (ingresses, secrets) = (world.all::<Ingress>(), world.all::<Secret>());
    let scalers = world.all::<HorizontalPodAutoscaler>();
    until(DEADLINE, "everything is there", async || {
        ingresses.get_opt("photos-frontend").await.unwrap()?;
        secrets.get_opt("photos-key-phone").await.unwrap()?;
        scalers.get_opt("photos-searchapi").await.unwrap()
    })
    .await;
    let before = world.secret("photos-keys", "keys.json").await.unwrap();
    assert!(before.contains("phone"));

    world.apply("photos", Some(json!({ "networkPolicy": "None" }))).await.unwrap();
    until(REPAIRED_WITHIN, "it is gone", async || {
        let policies = world.all::<NetworkPolicy>().list(&ListParams::default()).await.unwrap();
        let gone = ingresses.get_opt("photos-frontend").await.unwrap().is_none()
            && secrets.get_opt("photos-key-phone").await.unwrap().is_none()
            && scalers.get_opt("photos-searchapi").await.unwrap().is_none()
            && policies.items.is_empty();
        gone.then_some(())
    })
    .await;
    // The key is refused from now on, and the other one still works.
    assert!(!world.secret("photos-keys", "keys.json").await.unwrap().contains("phone"));
    assert!(secrets.get_opt("photos-key-admin").await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn credentials_are_made_once_and_anew_when_that_is_wished() {
    let (world, mut operator) = World::with_stack(json!({})).await;
    let queue = async || world.secret("photos-queue-credentials", "password").await.unwrap();
    let key = async || world.secret("photos-key-admin", "key").await.unwrap();
    let (password, admin) = (queue().await, key().await);
    assert!(admin.starts_with("isk_"));
    operator.kill();
    operator.start_again();
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

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn killed_at_any_moment_it_comes_to_the_same_end() {
    let world = World::start().await;
    let mut operator = Operator::alone(&world);
    world.apply("photos", None).await.unwrap();
    for pause_ms in [300, 600, 900, 1200, 1500, 1800] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        operator.kill();
        operator.start_again();
    }
    // Each start waits for the Lease of the one before.
    until(DEADLINE * 2, "everything is there", async || {
        let deployments = world.all::<Deployment>().list(&ListParams::default()).await.unwrap();
        let sets = world.all::<StatefulSet>().list(&ListParams::default()).await.unwrap();
        (deployments.items.len() == 5 && sets.items.len() == 2).then_some(())
    })
    .await;
    let password = world.secret("photos-queue-credentials", "password").await.unwrap();
    let conf = world.secret("photos-queue-config", "nats.conf").await.unwrap();
    assert!(conf.contains(&password), "the server lets in whom the roles are");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn of_two_operators_the_other_takes_over() {
    let world = World::start().await;
    let mut first = Operator::start(&world.namespace, "first");
    world.apply("photos", None).await.unwrap();
    world.until_settled().await;
    let _second = Operator::start(&world.namespace, "second");
    first.kill();
    let killed = Instant::now();
    world.apply("photos", Some(json!({ "searchApi": { "replicas": 2 } }))).await.unwrap();
    world.until_settled().await;
    // A Lease of 15 s, and the time to begin.
    assert!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
}

/// Nothing that is read changes anything that is written: no resourceVersion moves but the Lease's.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn an_idle_stack_is_not_written() {
    let (world, _operator) = World::with_stack(json!({})).await;
    // Whatever the last change started has come to its end.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let versions = async || {
        let mut versions = vec![world.stacks().get("photos").await.unwrap().resource_version()];
        for kind in ["Secret", "ConfigMap", "Service", "ServiceAccount"] {
            versions.extend(world.versions("", "v1", kind).await);
        }
        versions.extend(world.versions("apps", "v1", "Deployment").await);
        versions.extend(world.versions("apps", "v1", "StatefulSet").await);
        versions.extend(world.versions("networking.k8s.io", "v1", "NetworkPolicy").await);
        versions.extend(world.versions("events.k8s.io", "v1", "Event").await);
        versions
    };
    let before = versions().await;
    assert!(before.len() > 20);
    let idle = std::env::var("IDLE_S").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
    tokio::time::sleep(Duration::from_secs(idle)).await;
    assert_eq!(versions().await, before);
}

/// Kinds that are not Kubernetes's own are watched like all others.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_route_that_is_deleted_by_hand_is_made_again() {
    let ingress = json!({ "type": "Gateway", "host": "photos.example.com", "parentRefs": [{ "name": "gateway" }] });
    let (world, _operator) = World::with_stack(json!({ "ingress": ingress })).await;
    for (group, kind, name) in [
        ("gateway.networking.k8s.io", "HTTPRoute", "photos-frontend"),
        ("monitoring.coreos.com", "PodMonitor", "photos-roles"),
    ] {
        let api = world.dynamic(group, "v1", kind);
        until(DEADLINE, name, async || api.get_opt(name).await.unwrap()).await;
        api.delete(name, &DeleteParams::default()).await.unwrap();
        until(REPAIRED_WITHIN, name, async || api.get_opt(name).await.unwrap()).await;
    }
}

/// A claim that is another one than before is an empty volume: that is told, and a Job repairs what the other stores tell.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_volume_that_was_replaced_is_told_and_repaired() {
    let (world, _operator) = World::with_stack(json!({})).await;
    // Nobody here makes claims, serves, or runs a Job's pods.
    let claims = world.all::<PersistentVolumeClaim>();
    let claim = json!({
        "metadata": { "name": "data-photos-queue-0", "labels": {
            "app.kubernetes.io/name": "imagesearch", "app.kubernetes.io/instance": "photos",
            "app.kubernetes.io/component": "queue", "app.kubernetes.io/managed-by": "imagesearch-operator",
        } },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "10Gi" } } },
    });
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    let made = claims.create(&PostParams::default(), &claim).await.unwrap();
    let known =
        async || world.stacks().get("photos").await.unwrap().status?.volumes.get("data-photos-queue-0").cloned();
    until(DEADLINE, "the volume is known", async || (known().await == made.metadata.uid).then_some(())).await;

    let no_finalizers = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    claims.patch("data-photos-queue-0", &PatchParams::default(), &no_finalizers).await.unwrap();
    claims.delete("data-photos-queue-0", &DeleteParams::default()).await.unwrap();
    let replacement = claims.create(&PostParams::default(), &claim).await.unwrap();
    let told = async |status: ConditionStatus, reason: &str| {
        let condition = world.condition("StoresIntact").await?;
        ((condition.status, condition.reason.as_str()) == (status, reason)).then_some(condition.message)
    };
    let message = until(DEADLINE, "the loss is told", async || told(ConditionStatus::False, "Repairing").await).await;
    assert!(message.contains("data-photos-queue-0") && message.contains("waits for the stores"), "{message}");
    assert_eq!(world.condition("Degraded").await.unwrap().status, ConditionStatus::True);

    let jobs = world.all::<Job>();
    let repair = async || {
        let all = jobs.list(&ListParams::default()).await.unwrap();
        all.items.iter().map(ResourceExt::name_any).find(|name| name.starts_with("photos-repair-"))
    };
    assert_eq!(repair().await, None, "nothing can be repaired before the stores serve");
    let job = until(DEADLINE, "the repair is begun once the stores serve", async || {
        world.let_stores_serve().await;
        repair().await
    })
    .await;
    let now = "2026-01-01T00:00:00Z";
    let done = json!({ "status": {
        "succeeded": 1, "startTime": now, "completionTime": now, "uncountedTerminatedPods": {},
        "conditions": [
            { "type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": now },
            { "type": "Complete", "status": "True", "lastTransitionTime": now },
        ],
    } });
    jobs.patch_status(&job, &PatchParams::default(), &Patch::Merge(&done)).await.unwrap();
    until(DEADLINE, "it is repaired", async || told(ConditionStatus::True, "VolumesKept").await).await;
    assert_eq!(known().await, replacement.metadata.uid);
    until(DEADLINE, "the Job that is done goes", async || repair().await.is_none().then_some(())).await;
}

impl World {
    fn dynamic(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let kind = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    /// Says of each StatefulSet that its servers are ready.
    async fn let_stores_serve(&self) {
        let sets = self.all::<StatefulSet>();
        for set in sets.list(&ListParams::default()).await.unwrap() {
            let replicas = set.spec.replicas;
            let status = json!({ "status": {
                "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                "observedGeneration": set.metadata.generation,
            } });
            sets.patch_status(&set.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        }
    }

    async fn versions(&self, group: &str, version: &str, kind: &str) -> Vec<Option<String>> {
        let list = self.dynamic(group, version, kind).list(&ListParams::default()).await.unwrap();
        list.items.iter().map(ResourceExt::resource_version).collect()
    }
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
