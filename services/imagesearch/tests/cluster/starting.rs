//! How roles start, wait for their stores, and end.

use std::{
    io,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use reqwest::{Body, Response, StatusCode, multipart};
use serde_json::Value;
use servers::Server;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::cluster::{Cluster, DEADLINE, Process, Stores, photos};

/// Far less than a client waits for an answer that does not come.
const ANSWER: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Waits until the admin port says that this is waited for.
async fn until_it_waits_for(process: &Process, store: &str) {
    let started = Instant::now();
    loop {
        let told = process.readiness().await;
        if let Some((status, problem)) = &told
            && problem["not_ready"][0]["reason"].as_str().is_some_and(|reason| reason.contains(store))
        {
            assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        assert!(started.elapsed() < DEADLINE, "it does not say that it waits for {store}: {told:?}\n{}", process.log());
        tokio::time::sleep(POLL).await;
    }
}

/// What clients are told while a role waits.
async fn assert_refused(process: &Process, store: &str) {
    let request = reqwest::Client::new().get(process.url("/api/v1/image")).timeout(ANSWER);
    let answer = request.send().await.expect("an answer in time");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let retry_after_s: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(retry_after_s > 0);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "https://imagesearch.dev/problems/unavailable", "{problem}");
    assert_eq!(problem["store"], store, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_wait_for_their_stores_and_say_for_which() {
    let mut stores = Stores::start().await;
    for store in [&mut stores.nats, &mut stores.s3, &mut stores.milvus] {
        store.kill();
    }
    let mut everything = Process::start("up", &stores, "alone");
    let mut cluster = Cluster::start_on(stores, 1);
    for process in [&cluster.cdnapi, &cluster.ingestapi, &cluster.searchapi, &everything] {
        until_it_waits_for(process, "object store").await;
        assert_refused(process, "objects").await;
    }
    until_it_waits_for(&cluster.workers[0], "object store").await;
    assert_eq!(everything.stop(), Some(0), "the end of waiting is an end in order");
    for process in cluster.processes() {
        assert_eq!(process.stop(), Some(0), "the end of waiting is an end in order");
        process.start_again();
    }
    for store in [&mut cluster.stores.s3, &mut cluster.stores.nats, &mut cluster.stores.milvus] {
        store.restart().await;
    }
    cluster.until_ready().await;
    let (name, bytes) = photos().swap_remove(0);
    cluster.upload(&name, bytes).await;
    assert_eq!(cluster.until_idle().await["indexed"], 1);
    waits_for_each_store_alone(&mut cluster).await;
}

type Pick = fn(&mut Stores) -> &mut Server;

async fn waits_for_each_store_alone(cluster: &mut Cluster) {
    let stores: [(&str, &str, Pick); 3] = [
        ("objects", "object store", |stores| &mut stores.s3),
        ("queue", "queue", |stores| &mut stores.nats),
        ("index", "index", |stores| &mut stores.milvus),
    ];
    for (name, told, store) in stores {
        store(&mut cluster.stores).kill();
        for process in [&mut cluster.ingestapi, &mut cluster.workers[0]] {
            process.kill();
            process.start_again();
        }
        for process in [&cluster.ingestapi, &cluster.workers[0]] {
            until_it_waits_for(process, told).await;
        }
        assert_refused(&cluster.ingestapi, name).await;
        store(&mut cluster.stores).restart().await;
        cluster.until_ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_start_from_the_files_that_are_shipped_and_addresses_alone() {
    let stores = Stores::start().await;
    // A bucket is there before the roles are.
    stores.command("imagesearch", &["check"]).unwrap();
    let start = |role| Process::start_as_shipped(role, &stores);
    let [ingestapi, searchapi, cdnapi] = ["ingestapi", "searchapi", "cdnapi"].map(start);
    let workers = vec![start("ingestworker")];
    let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
    let mut cluster = Cluster { ingestapi, workers, searchapi, cdnapi, stores, http };
    cluster.until_ready().await;
    let (name, bytes) = photos().swap_remove(0);
    let image_id = cluster.upload(&name, bytes).await["image_id"].clone();
    assert_eq!(cluster.until_idle().await["indexed"], 1);
    assert_eq!(cluster.search("anything", 5).await, [image_id.as_str().unwrap()]);
}

/// An upload that stops halfway until it is told to go on.
pub(crate) fn begin_upload(
    cluster: &Cluster,
    bytes: &[u8],
) -> (oneshot::Sender<()>, JoinHandle<reqwest::Result<Response>>) {
    let (go_on, told) = oneshot::channel();
    let (begin, rest) = bytes.split_at(bytes.len() / 2);
    let (begin, rest) = (begin.to_vec(), rest.to_vec());
    let chunks = stream::once(async { io::Result::Ok(begin) }).chain(stream::once(async {
        told.await.map_err(io::Error::other)?;
        Ok(rest)
    }));
    let part = multipart::Part::stream(Body::wrap_stream(chunks)).file_name("late.jpg");
    let request = cluster.http.post(cluster.ingestapi.url("/api/v1/ingest"));
    (go_on, tokio::spawn(request.multipart(multipart::Form::new().part("file", part)).send()))
}

async fn until_under_way(process: &Process, requests: usize) {
    let (started, line) = (Instant::now(), format!("http_server_active_requests {requests}\n"));
    loop {
        let metrics = reqwest::get(process.admin_url("/metrics")).await.unwrap().text().await.unwrap();
        if metrics.contains(&line) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "not {requests} requests are under way:\n{metrics}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_roles_in_time_and_in_order_whatever_is_under_way() {
    let mut cluster = Cluster::start(1).await;
    let photos = photos();
    let (finish, finished) = begin_upload(&cluster, &photos[0].1);
    let (_never, stuck) = begin_upload(&cluster, &photos[1].1);
    until_under_way(&cluster.ingestapi, 2).await;
    cluster.ingestapi.terminate();
    cluster.ingestapi.until_logged("ending: finishing what is under way").await;
    finish.send(()).unwrap();
    assert_eq!(finished.await.unwrap().unwrap().status(), StatusCode::ACCEPTED, "what was under way is finished");
    assert_eq!(cluster.ingestapi.exit_code(), Some(0));
    assert!(stuck.await.unwrap().is_err(), "a client that sends nothing holds nobody up");
    for process in [&mut cluster.searchapi, &mut cluster.cdnapi, &mut cluster.workers[0]] {
        assert_eq!(process.stop(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_on_stores_of_one_process_is_refused_with_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_imagesearch"))
        .arg("searchapi")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("objects.type, queue.type, index.type") && told.contains("imagesearch up"), "{told}");
}
