//! What the operator promises, each on real pods.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::json;

use super::stack::{
    self, NAMESPACE, Stack, apply, apply_stack, condition, field, kubectl, secret, spec, until, until_ready,
};

const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/photos");

pub(crate) fn photo(name: &str) -> Vec<u8> {
    std::fs::read(format!("{PHOTOS}/{name}")).unwrap_or_else(|error| panic!("{PHOTOS}/{name}: {error}"))
}

/// The same picture with other bytes: what follows the end of a JPEG is nobody's.
pub(crate) fn again(bytes: &[u8], number: usize) -> Vec<u8> {
    [bytes, number.to_string().as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn a01_from_nothing_to_a_found_photo() {
    let started = Instant::now();
    let stack = Stack::ready().await;
    let mut castle = String::new();
    for name in ["neuschwansteinCastle.jpg", "giraffe.jpg", "b_giraffe.jpg"] {
        let id = stack.upload(name, photo(name)).await;
        if name == "neuschwansteinCastle.jpg" {
            castle = id;
        }
    }
    until("the photos are indexed", async || (stack.indexed().await.len() == 3).then_some(())).await;
    assert_eq!(stack.found("a castle").await.first(), Some(&castle));
    println!("from an empty cluster to a found photo in {} s", started.elapsed().as_secs());

    let list = kubectl(&["get", "iss"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "READY", "WORKERS", "LAG", "MODEL", "AGE"], "{list}");
    assert_eq!(lines[1][..2], ["photos", "True"], "{list}");
    assert!(kubectl(&["get", "all", "--output", "name"]).contains("imagesearchstack.imagesearch.dev/photos"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn b01_a_stranger_is_refused_and_a_client_is_let_in() {
    let _stack = Stack::ready().await;
    // Both from another namespace; the second carries the label of the stack's clients.
    for (name, labels, reaches) in
        [("stranger", json!({}), false), ("client", json!({ "imagesearch.dev/client": "photos" }), true)]
    {
        let targets =
            [("photos-queue", 4222, false), ("photos-index", 19530, false), ("photos-searchapi", 8001, reaches)];
        for (service, port, reached) in targets {
            let answer = reach(name, &labels, service, port).await;
            assert_eq!(answer, reached, "{name} reaches {service}: {answer}");
        }
    }
}

/// What is in a role's pod can do what the role can. The API server is left out: here it runs on the node itself, and what
/// goes there is not what the node's policies look at.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn b02_a_role_reaches_what_it_needs_and_nothing_else() {
    let _stack = Stack::ready().await;
    let address = |service: &str| field(&format!("service/{service}"), ".spec.clusterIP");
    for (role, target, port, reaches) in [
        ("ingestworker", address("photos-queue"), 4222, true),
        ("ingestworker", address("photos-index"), 19530, true),
        ("ingestworker", address("photos-cdnapi"), 8002, false),
        ("ingestworker", address("photos-searchapi"), 8001, false),
        ("cdnapi", address("photos-queue"), 4222, false),
        ("cdnapi", address("photos-index"), 19530, false),
    ] {
        let labels = json!({
            "app.kubernetes.io/name": "imagesearch",
            "app.kubernetes.io/instance": "photos",
            "app.kubernetes.io/component": role,
        });
        let name = format!("{role}-{}", target.replace('.', "-"));
        let answer = connects(NAMESPACE, &name, &labels, &target, port).await;
        assert_eq!(answer, reaches, "{role} reaches {target}:{port}: {answer}");
    }
}

/// Whether a pod of another namespace with these labels can connect to a service of the stack.
async fn reach(name: &str, labels: &serde_json::Value, service: &str, port: u16) -> bool {
    // A small image may not look up names.
    let target = field(&format!("service/{service}"), ".spec.clusterIP");
    connects("default", &format!("{name}-{service}"), labels, &target, port).await
}

async fn connects(namespace: &str, pod: &str, labels: &serde_json::Value, target: &str, port: u16) -> bool {
    let image = std::env::var("BUSYBOX_IMAGE").unwrap_or_else(|_| "localhost/busybox:1".into());
    apply(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": pod, "namespace": namespace, "labels": labels },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "nc", "image": image, "imagePullPolicy": "IfNotPresent",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                // Who is let in is let in soon after it has an address, not at once.
                "command": ["sh", "-c", "for try in 1 2 3 4 5 6; do nc -w 2 $0 $1 </dev/null && exit 0; sleep 1; done; exit 1"],
                "args": [target, port.to_string()],
            }],
        },
    }));
    let phase = until("the pod has tried", async || {
        let phase = kubectl(&["--namespace", namespace, "get", "pod", pod, "--output", "jsonpath={.status.phase}"]);
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
    })
    .await;
    kubectl(&["--namespace", namespace, "delete", "pod", pod, "--wait=false"]);
    phase == "Succeeded"
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn c01_a_load_scales_workers_up_and_away_and_loses_nothing() {
    const UPLOADS: usize = 500;
    let stack = Stack::ready().await;
    until("idle: there are no workers", async || (replicas() == 0).then_some(())).await;
    let before = stack.indexed().await;
    let castle = photo("neuschwansteinCastle.jpg");
    let started = Instant::now();
    let uploads = join_all((0..8).map(|client| {
        let (stack, castle) = (&stack, &castle);
        async move {
            let (mut ids, mut arrivals) = (BTreeSet::new(), Vec::new());
            for number in (client..UPLOADS).step_by(8) {
                ids.insert(stack.upload("neuschwansteinCastle.jpg", again(castle, number)).await);
                arrivals.push(started.elapsed().as_secs() / 2);
            }
            (ids, arrivals)
        }
    }));
    let faults = async {
        until("there are as many workers as there may be", async || (replicas() == 3).then_some(())).await;
        for pods in ["app.kubernetes.io/component=ingestworker", "app.kubernetes.io/component=queue"] {
            kubectl(&["delete", "pod", "--selector", pods, "--wait=false", "--grace-period=1"]);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let namespace = stack::OPERATOR_NAMESPACE;
        kubectl(&["--namespace", namespace, "delete", "pod", "--all", "--grace-period=0", "--force"]);
    };
    let (uploaded, ()) = tokio::join!(uploads, faults);
    let (uploaded, arrivals): (Vec<_>, Vec<_>) = uploaded.into_iter().unzip();
    let arrivals: Vec<u64> = arrivals.concat();
    let by_tick = (0..=arrivals.iter().copied().max().unwrap_or_default())
        .map(|tick| arrivals.iter().filter(|at| **at == tick).count());
    println!("jobs in each 2 s: {:?}", by_tick.collect::<Vec<_>>());
    let wanted: BTreeSet<String> = uploaded.into_iter().flatten().chain(before).collect();
    until("everything is indexed", async || (stack.indexed().await == wanted).then_some(())).await;
    until("idle: there are no workers", async || (replicas() == 0).then_some(())).await;
}

fn replicas() -> i32 {
    field("deployment/photos-ingestworker", ".spec.replicas").parse().unwrap_or(-1)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn d01_a_change_rolls_and_no_search_fails() {
    let stack = Arc::new(Stack::ready().await);
    let (stop, done, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let searching = (0..4).map(|_| {
        let (stack, stop, done, failed) = (stack.clone(), stop.clone(), done.clone(), failed.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let good = stack.search("a castle").await.is_ok_and(|answer| answer.status().is_success());
                done.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
            }
        })
    });
    let searching: Vec<_> = searching.collect();
    let pods = || kubectl(&["get", "pods", "--selector", "app.kubernetes.io/component=searchapi", "--output", "name"]);
    let before = pods();
    let mut changed = spec();
    changed["observability"] = json!({ "logFilter": "debug,h2=info,hyper_util=info" });
    changed["searchApi"] = json!({ "replicas": 2, "resources": { "requests": { "cpu": "60m", "memory": "300Mi" } } });
    if let Ok(image) = std::env::var("IMAGESEARCH_NEXT_IMAGE") {
        changed["image"] = json!(image);
    }
    apply_stack(&changed);
    until("new pods serve", async || {
        let ready = condition("Ready", "status") == "True";
        (ready && !pods().lines().any(|pod| before.contains(pod))).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for searcher in searching {
        searcher.await.unwrap();
    }
    apply_stack(&spec());
    until_ready().await;
    let (done, failed) = (done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!("{done} searches while the roles rolled, {failed} failed");
    assert!(done > 20, "only {done} searches while it rolled");
    assert_eq!(failed, 0, "of {done} searches");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn d02_another_model_takes_over_and_goes_and_no_search_fails() {
    super::model::changes_under_load_and_goes_back().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn d03_an_edit_serves_from_the_pod_that_runs() {
    super::dev_loop::an_edit_serves_from_the_pod_that_runs().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn e01_an_image_that_is_not_there_is_told_while_the_old_pods_serve() {
    let stack = Stack::ready().await;
    let mut broken = spec();
    broken["image"] = json!("imagesearch:is-not-there");
    apply_stack(&broken);
    until("it says which image", async || {
        let told = condition("Ready", "message").contains("imagesearch:is-not-there");
        (told && condition("Ready", "status") == "False").then_some(())
    })
    .await;
    until("an event says it too", async || {
        let told = ["get", "events", "--field-selector", "type=Warning,involvedObject.kind=ImageSearchStack"];
        kubectl(&[&told[..], &["--output", "jsonpath={.items[*].message}"]].concat())
            .contains("imagesearch:is-not-there")
            .then_some(())
    })
    .await;
    assert!(stack.search("a castle").await.unwrap().status().is_success());
    apply_stack(&spec());
    until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn f01_a_new_stack_of_the_same_name_has_the_photos_of_the_last() {
    let stack = Stack::ready().await;
    let (before, key) = (stack.indexed().await, secret("photos-key-admin", "key"));
    assert!(!before.is_empty());
    drop(stack);
    kubectl(&["delete", "iss", "photos", "--wait=true"]);
    until("its pods are gone", async || {
        let pods = kubectl(&["get", "pods", "--selector", "app.kubernetes.io/instance=photos", "--output", "name"]);
        pods.is_empty().then_some(())
    })
    .await;
    assert_eq!(kubectl(&["get", "pvc", "--output", "name"]).lines().count(), 3);
    apply_stack(&spec());
    until_ready().await;
    assert_eq!(secret("photos-key-admin", "key"), key);
    let stack = Stack::ready().await;
    until("everything is found again", async || (stack.indexed().await == before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn g01_an_index_that_lost_its_volume_is_told_and_built_anew() {
    let stack = Stack::ready().await;
    let before = stack.indexed().await;
    assert!(!before.is_empty());
    let old = field("pvc/data-photos-index-0", ".metadata.uid");
    kubectl(&["delete", "pvc", "data-photos-index-0", "--wait=false"]);
    kubectl(&["delete", "pod", "photos-index-0", "--wait=false", "--grace-period=1"]);
    until("there is another volume", async || {
        let new = field("pvc/data-photos-index-0", ".metadata.uid");
        (!new.is_empty() && new != old).then_some(())
    })
    .await;
    until("the loss is told", async || {
        condition("StoresIntact", "message").contains("data-photos-index-0").then_some(())
    })
    .await;
    until("it is repaired", async || (condition("StoresIntact", "status") == "True").then_some(())).await;
    until("everything is found again", async || (stack.indexed().await == before).then_some(())).await;
    until_ready().await;
    assert!(!stack.found("a castle").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn g02_the_check_that_comes_each_day_finds_all_well() {
    let _stack = Stack::ready().await;
    kubectl(&["create", "job", "check-now", "--from=cronjob/photos-check"]);
    kubectl(&["wait", "--for=condition=Complete", "job/check-now", "--timeout=5m"]);
    kubectl(&["delete", "job", "check-now", "--wait=false"]);
}

/// A stack from its chart, in another namespace, under a name that services like to take for their own variables.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn h01_three_queue_servers_lose_nothing_when_one_after_the_other_is_killed() {
    const OTHER: &str = "imagesearch-e2e-three";
    const UPLOADS: usize = 60;
    let first = Stack::ready().await;
    let before = first.indexed().await;
    let mut three = spec();
    three["queue"]["managed"]["replicas"] = json!(3);
    three["deletionPolicy"] = json!("Delete");
    stack::apply_namespace(OTHER);
    let in_it = |arguments: &[&str]| kubectl(&[&["--namespace", OTHER], arguments].concat());
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/imagesearch");
    stack::helm(&["install", "imagesearch", chart, "--namespace", OTHER, "--set-json", &format!("spec={three}")]);
    in_it(&["wait", "--for=condition=Ready", "iss/imagesearch", "--timeout=10m"]);
    let stack = Stack::connect(OTHER, "imagesearch", 3940).await;
    let castle = photo("neuschwansteinCastle.jpg");
    let mut uploaded = BTreeSet::new();
    for number in 0..UPLOADS {
        if number % 20 == 10 {
            let pod = format!("imagesearch-queue-{}", number / 20);
            in_it(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
        }
        uploaded.insert(stack.upload("neuschwansteinCastle.jpg", again(&castle, number)).await);
    }
    until("everything is indexed", async || (stack.indexed().await == uploaded).then_some(())).await;
    assert_eq!(first.indexed().await, before, "what is in one stack is in no other");
    drop(stack);

    stack::helm(&["uninstall", "imagesearch", "--namespace", OTHER]);
    until("its volumes and credentials go with it", async || {
        let of_it = ["get", "pvc,secret", "--selector", "app.kubernetes.io/instance=imagesearch", "--output", "name"];
        in_it(&of_it).is_empty().then_some(())
    })
    .await;
    kubectl(&["delete", "namespace", OTHER, "--wait=true", "--timeout=180s"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn i01_every_role_tells_its_traces_to_the_chart_for_monitoring() {
    super::monitoring::rules_are_loaded_and_every_role_is_heard().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn y01_another_version_of_the_operator_comes_and_goes() {
    let stack = Stack::ready().await;
    let before = field("iss/photos", ".metadata.uid");
    let operators = || {
        let namespace = stack::OPERATOR_NAMESPACE;
        kubectl(&["--namespace", namespace, "get", "deployment", "--output", "jsonpath={.items[0].spec.replicas}"])
    };
    stack::install_operator(&["--set", "replicas=2"]);
    assert_eq!(operators(), "2");
    the_leader_dies_and_the_other_goes_on().await;
    stack::helm(&[
        "rollback",
        "imagesearch-operator",
        "--namespace",
        stack::OPERATOR_NAMESPACE,
        "--wait",
        "--timeout",
        "3m",
    ]);
    assert_eq!(operators(), "1");
    assert_eq!(field("iss/photos", ".metadata.uid"), before);
    until_ready().await;
    assert!(stack.search("a castle").await.unwrap().status().is_success());
}

async fn the_leader_dies_and_the_other_goes_on() {
    let of_operator = |arguments: &[&str]| kubectl(&[&["--namespace", stack::OPERATOR_NAMESPACE], arguments].concat());
    let leader = of_operator(&["get", "lease", "--output", "jsonpath={.items[0].spec.holderIdentity}"]);
    let pods = of_operator(&["get", "pods", "--output", "jsonpath={.items[*].metadata.name}"]);
    let pod = pods.split(' ').find(|pod| leader.contains(pod)).unwrap_or_else(|| panic!("{leader} is none of {pods}"));
    of_operator(&["delete", "pod", pod, "--grace-period=0", "--force"]);
    let died = Instant::now();
    let mut changed = spec();
    changed["ingestWorker"]["autoscaling"]["maxReplicas"] = json!(2);
    apply_stack(&changed);
    until_ready().await;
    println!("a change was in force {} s after the leader was killed", died.elapsed().as_secs());
    apply_stack(&spec());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn z01_nothing_hangs_when_the_operator_goes_first() {
    let stack = Stack::ready().await;
    drop(stack);
    stack::helm(&["uninstall", "imagesearch-operator", "--namespace", stack::OPERATOR_NAMESPACE, "--wait"]);
    kubectl(&["delete", "namespace", stack::NAMESPACE, "--wait=true", "--timeout=180s"]);
    // The definition stays, and with it every other stack.
    assert!(!kubectl(&["get", "crd", "imagesearchstacks.imagesearch.dev", "--output", "name"]).is_empty());
}
