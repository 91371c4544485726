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

use super::stack::{self, Stack, apply, apply_stack, condition, field, kubectl, secret, spec, until, until_ready};

const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/photos");

fn photo(name: &str) -> Vec<u8> {
    std::fs::read(format!("{PHOTOS}/{name}")).unwrap_or_else(|error| panic!("{PHOTOS}/{name}: {error}"))
}

/// The same picture with other bytes: what follows the end of a JPEG is nobody's.
fn again(bytes: &[u8], number: usize) -> Vec<u8> {
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

/// Whether a pod with these labels can connect.
async fn reach(name: &str, labels: &serde_json::Value, service: &str, port: u16) -> bool {
    let pod = format!("{name}-{service}");
    // A small image may not look up names.
    let target = field(&format!("service/{service}"), ".spec.clusterIP");
    let image = std::env::var("BUSYBOX_IMAGE").unwrap_or_else(|_| "localhost/busybox:1".into());
    apply(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": pod, "namespace": "default", "labels": labels },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "nc", "image": image, "imagePullPolicy": "IfNotPresent",
                // Who is let in is let in soon after it has an address, not at once.
                "command": ["sh", "-c", "for try in 1 2 3 4 5 6; do nc -w 2 $0 $1 </dev/null && exit 0; sleep 1; done; exit 1"],
                "args": [target, port.to_string()],
            }],
        },
    }));
    let phase = until("the pod has tried", async || {
        let phase = kubectl(&["--namespace", "default", "get", "pod", &pod, "--output", "jsonpath={.status.phase}"]);
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
    })
    .await;
    kubectl(&["--namespace", "default", "delete", "pod", &pod, "--wait=false"]);
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

/// In another namespace, beside a stack of the same name.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make test-cluster"]
async fn h01_three_queue_servers_lose_nothing_when_one_after_the_other_is_killed() {
    const NAMESPACE: &str = "imagesearch-e2e-three";
    const UPLOADS: usize = 60;
    let first = Stack::ready().await;
    let before = first.indexed().await;
    let mut three = spec();
    three["queue"]["managed"]["replicas"] = json!(3);
    stack::apply_namespace(NAMESPACE);
    stack::apply_stack_in(NAMESPACE, &three);
    let in_it = |arguments: &[&str]| kubectl(&[&["--namespace", NAMESPACE], arguments].concat());
    in_it(&["wait", "--for=condition=Ready", "iss/photos", "--timeout=10m"]);
    let stack = Stack::connect(NAMESPACE, 3940).await;
    let castle = photo("neuschwansteinCastle.jpg");
    let mut uploaded = BTreeSet::new();
    for number in 0..UPLOADS {
        if number % 20 == 10 {
            let pod = format!("photos-queue-{}", number / 20);
            in_it(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
        }
        uploaded.insert(stack.upload("neuschwansteinCastle.jpg", again(&castle, number)).await);
    }
    until("everything is indexed", async || (stack.indexed().await == uploaded).then_some(())).await;
    assert_eq!(first.indexed().await, before, "what is in one stack is in no other");
    drop(stack);
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s"]);
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
