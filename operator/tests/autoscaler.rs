//! The autoscaler on a real API server and a real NATS: no pods run, but the Deployment's number of replicas is what it
//! writes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::pull,
    kv,
    stream::{Config, RetentionPolicy},
};
use futures::StreamExt;
use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use operator::{
    autoscaler::{Autoscaler, Beside, FIELD_MANAGER, Login, Nats, Scaling, Settings, StackRef, Target},
    crd::AutoscalingMode,
};
use serde_json::json;
use servers::Server;
use shared::{config::Jetstream, model::FillProgress, telemetry::Metrics};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// Two looks and what they take.
const NEXT_LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// A stack's Deployment and its queue, and an autoscaler that knows it.
struct World {
    deployments: Api<Deployment>,
    server: Server,
    queue: jetstream::Context,
    leading: watch::Sender<bool>,
    metrics: Metrics,
    autoscaler: Autoscaler,
    stack: StackRef,
    target: Target,
}

impl World {
    async fn start(mode: AutoscalingMode, replicas: i32) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::try_default().await.expect("KUBECONFIG names no cluster");
        let name = format!("scaled-{:016x}", rand::random::<u64>());
        let deployments = Api::<Deployment>::namespaced(client.clone(), "default");
        deployments.create(&PostParams::default(), &deployment(&name, replicas)).await.unwrap();
        let server = servers::nats(&[]).await;
        let queue = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let (leading, metrics) = (watch::Sender::new(true), Metrics::new());
        let target = Target {
            namespace: "default".into(),
            deployment: name.clone(),
            settings: Settings {
                mode,
                min: 0,
                max: 5,
                target_lag_per_replica: 10,
                max_scale_up_step: 10,
                scale_down_delay: Duration::from_secs(4),
            },
            nats: Nats { servers: vec![server.url()], login: Login::Anonymous, ca: None, certificate: None },
            stream: "photos-jobs".into(),
            beside: None,
            hold: None,
        };
        let autoscaler = Autoscaler::new(client, leading.subscribe(), &metrics);
        let stack = StackRef::new("photos").within(&name);
        autoscaler.set(&stack, Some(target.clone()));
        Self { deployments, server, queue, leading, metrics, autoscaler, stack, target }
    }

    async fn upload(&self, jobs: usize) {
        let config = Config {
            name: "photos-jobs".into(),
            subjects: vec!["photos.jobs.*".into()],
            retention: RetentionPolicy::WorkQueue,
            ..Config::default()
        };
        self.queue.get_or_create_stream(config).await.unwrap();
        for _ in 0..jobs {
            self.queue.publish("photos.jobs.model", "".into()).await.unwrap().await.unwrap();
        }
    }

    async fn finish_all(&self) {
        self.queue.get_stream("photos-jobs").await.unwrap().purge().await.unwrap();
    }

    fn set(&mut self, change: impl FnOnce(&mut Target)) {
        change(&mut self.target);
        self.autoscaler.set(&self.stack, Some(self.target.clone()));
    }

    async fn deployment(&self) -> Deployment {
        self.deployments.get(&self.target.deployment).await.unwrap()
    }

    async fn replicas(&self) -> i32 {
        self.deployments.get_scale(&self.target.deployment).await.unwrap().spec.unwrap().replicas.unwrap_or(0)
    }

    /// Who wrote the number of replicas that there is.
    async fn scaled_by(&self) -> Vec<String> {
        let deployment = self.deployment().await;
        let fields = deployment.managed_fields().iter();
        fields
            .filter(|entry| entry.subresource.as_deref() == Some("scale"))
            .filter_map(|entry| entry.manager.clone())
            .collect()
    }

    async fn scale_by_hand(&self, replicas: i32) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        self.deployments.patch_scale(&self.target.deployment, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until there are as many, and says how long that took.
    async fn reaches(&self, replicas: i32) -> Duration {
        let begun = Instant::now();
        while self.replicas().await != replicas {
            assert!(begun.elapsed() < PATIENCE, "{replicas} are not reached: {:?}", self.status());
            sleep(POLL).await;
        }
        begun.elapsed()
    }

    /// For three looks.
    async fn stays_at(&self, replicas: i32) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(7) {
            assert_eq!(self.replicas().await, replicas, "{:?}", self.status());
            sleep(POLL).await;
        }
    }

    fn status(&self) -> Option<Scaling> {
        self.autoscaler.status(&self.stack)
    }

    async fn says(&self, what: impl Fn(&Scaling) -> bool) -> Scaling {
        let begun = Instant::now();
        loop {
            match self.status() {
                Some(scaling) if what(&scaling) => return scaling,
                scaling => assert!(begun.elapsed() < PATIENCE, "{scaling:?}"),
            }
            sleep(POLL).await;
        }
    }

    async fn is_held(&self, reason: &str) -> String {
        let scaling = self.says(|scaling| scaling.active.as_ref().is_err_and(|hold| hold.reason == reason)).await;
        scaling.active.unwrap_err().message
    }

    fn measured(&self) -> Vec<String> {
        let mut text = String::new();
        self.metrics
            .register(|registry| prometheus_client::encoding::text::encode(&mut text, registry))
            .expect("metrics can be written");
        let ours = text.lines().filter(|line| line.contains("{stack_namespace="));
        ours.map(|line| line.replace(&self.target.deployment, "NS")).collect()
    }
}

fn deployment(name: &str, replicas: i32) -> Deployment {
    let labels = json!({ "app": name });
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "worker", "image": "imagesearch:0.1.0" }] },
            },
        },
    }))
    .unwrap()
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn workers_follow_the_queue_from_none_to_the_maximum_and_back() {
    let world = World::start(AutoscalingMode::Lag, 0).await;
    world.says(|scaling| scaling.active.is_ok()).await;
    world.upload(1).await;
    let first = world.reaches(1).await;
    assert!(first < NEXT_LOOK, "from none to one took {first:?}");
    world.upload(30).await;
    world.reaches(4).await;
    world.upload(400).await;
    world.reaches(5).await;
    assert_eq!(world.scaled_by().await, [FIELD_MANAGER]);
    let busy = world.says(|scaling| scaling.backlog.is_some_and(|backlog| backlog.pending == 430)).await;
    assert_eq!((busy.desired, busy.active), (Some(5), Ok(())));
    assert!(busy.backlog.unwrap().oldest_job_since.is_some());
    assert_eq!(
        world.measured(),
        [
            "imagesearch_operator_lag{stack_namespace=\"NS\",stack=\"photos\"} 431",
            "imagesearch_operator_in_flight{stack_namespace=\"NS\",stack=\"photos\"} 0",
            "imagesearch_operator_desired_replicas{stack_namespace=\"NS\",stack=\"photos\"} 5",
            "imagesearch_operator_scaling_held{stack_namespace=\"NS\",stack=\"photos\"} 0",
            "imagesearch_operator_lag_read_errors_total{stack_namespace=\"NS\",stack=\"photos\"} 0",
        ]
    );

    world.finish_all().await;
    let idle = world.reaches(0).await;
    // The window of four seconds begins with the last look that saw the jobs.
    assert!(idle >= Duration::from_secs(2), "{idle:?}");
    // Idle, nothing is written.
    let before = world.deployment().await;
    world.stays_at(0).await;
    assert_eq!(world.deployment().await.resource_version(), before.resource_version());
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn who_scales_by_hand_is_corrected_unless_the_mode_says_otherwise() {
    let mut world = World::start(AutoscalingMode::Lag, 0).await;
    world.upload(20).await;
    world.reaches(2).await;
    for by_hand in [4, 0, 9] {
        world.scale_by_hand(by_hand).await;
        world.reaches(2).await;
    }
    for (mode, desired) in [(AutoscalingMode::External, None), (AutoscalingMode::Fixed, Some(5))] {
        world.set(|target| target.settings.mode = mode);
        let scaling = world.says(|scaling| scaling.mode == mode).await;
        assert_eq!((scaling.desired, scaling.active), (desired, Ok(())));
        world.scale_by_hand(3).await;
        world.stays_at(3).await;
        let desires = world.measured().iter().any(|line| line.contains("desired_replicas"));
        assert_eq!(desires, desired.is_some());
    }
    world.set(|target| target.settings.mode = AutoscalingMode::Lag);
    world.reaches(2).await;
    world.set(|target| target.settings.max = 1);
    assert!(world.reaches(1).await < Duration::from_secs(2), "another target is looked at at once");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn nothing_is_scaled_while_the_queue_cannot_be_read_or_a_store_is_away() {
    let mut world = World::start(AutoscalingMode::Lag, 3).await;
    world.upload(30).await;
    world.says(|scaling| scaling.active.is_ok()).await;
    world.server.kill();
    let message = world.is_held("QueueUnreachable").await;
    assert!(message.contains(&world.server.port().to_string()), "{message}");
    world.stays_at(3).await;
    assert!(world.measured().iter().any(|line| line.contains("errors_total") && !line.ends_with(" 0")));
    // What changes in the spec applies all the same.
    world.set(|target| target.settings.max = 2);
    world.reaches(2).await;
    world.set(|target| target.settings.max = 5);
    world.server.restart().await;
    world.reaches(3).await;
    world.says(|scaling| scaling.active.is_ok()).await;

    world.set(|target| target.hold = Some("the index is not ready".into()));
    assert_eq!(world.is_held("StoreNotReady").await, "the index is not ready");
    world.upload(100).await;
    world.stays_at(3).await;
    world.set(|target| target.hold = None);
    assert!(world.reaches(5).await < NEXT_LOOK);
    world.says(|scaling| scaling.active.is_ok()).await;

    world.deployments.delete(&world.target.deployment, &DeleteParams::default()).await.unwrap();
    world.is_held("DeploymentMissing").await;
    world.deployments.create(&PostParams::default(), &deployment(&world.target.deployment, 1)).await.unwrap();
    world.reaches(5).await;
}

/// Whoever scales the workers.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn jobs_of_a_second_model_scale_nobody_and_how_far_it_is_is_told() {
    let mut world = World::start(AutoscalingMode::Lag, 1).await;
    world.upload(30).await;
    world.reaches(3).await;
    let stream = world.queue.get_stream("photos-jobs").await.unwrap();
    let config = pull::Config { durable_name: Some("model".into()), ..pull::Config::default() };
    stream.create_consumer(config).await.unwrap();
    let bucket = Jetstream::models_bucket("photos");
    let beside = Beside {
        source: "larger".into(),
        fingerprint: Some("model".into()),
        bucket: bucket.clone(),
        filled_since: Some(Timestamp::UNIX_EPOCH),
    };
    world.set(|target| target.beside = Some(beside));
    world.reaches(0).await;

    let config = kv::Config { bucket, ..kv::Config::default() };
    let bucket = world.queue.create_key_value(config).await.unwrap();
    let model = |source: &str| json!({ "source": source, "fingerprint": "model", "dimension": 4 });
    for (mode, indexed) in [(AutoscalingMode::Lag, 10), (AutoscalingMode::External, 50), (AutoscalingMode::Fixed, 70)] {
        world.set(|target| target.settings.mode = mode);
        let told = json!({ "model": model("larger"), "beside": model("bundled"), "indexed": indexed, "images": 100 });
        bucket.put(FillProgress::KEY, told.to_string().into()).await.unwrap();
        world.says(|scaling| scaling.progress.as_ref().is_some_and(|progress| progress.indexed == indexed)).await;
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn only_the_leader_looks_and_a_stack_that_is_gone_leaves_nothing() {
    let world = World::start(AutoscalingMode::Lag, 1).await;
    world.says(|scaling| scaling.active.is_ok()).await;
    world.leading.send_replace(false);
    let begun = Instant::now();
    while world.status().is_some() || !world.measured().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        sleep(POLL).await;
    }
    world.upload(50).await;
    world.stays_at(1).await;
    world.leading.send_replace(true);
    world.reaches(5).await;
    world.autoscaler.set(&world.stack, None);
    assert_eq!((world.status(), world.measured()), (None, Vec::new()));
    world.scale_by_hand(1).await;
    world.stays_at(1).await;
    assert_eq!((world.status(), world.measured()), (None, Vec::new()));
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn changes_are_told_when_there_are_some() {
    let world = World::start(AutoscalingMode::Lag, 0).await;
    let mut changes = Box::pin(world.autoscaler.changes());
    assert_eq!(timeout(PATIENCE, changes.next()).await.unwrap(), Some(world.stack.clone()));
    assert!(timeout(Duration::from_secs(13), changes.next()).await.is_err(), "an idle stack has no news");
    world.upload(20).await;
    let told = timeout(NEXT_LOOK, changes.next()).await.expect("another number of workers is told at once");
    assert_eq!((told, world.status().unwrap().desired), (Some(world.stack.clone()), Some(2)));
    // The lag alone is told, ten seconds later.
    let begun = Instant::now();
    world.finish_all().await;
    world.upload(11).await;
    timeout(PATIENCE, changes.next()).await.unwrap();
    let status = world.status().unwrap();
    assert_eq!((status.desired, status.backlog.unwrap().pending), (Some(2), 11));
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
}
