//! From an upload to what finds it, across processes.

use reqwest::StatusCode;
use serde_json::json;

use crate::cluster::{Cluster, Process, Stores, command, photos};

#[tokio::test(flavor = "multi_thread")]
async fn photos_go_in_through_one_process_and_are_found_through_another() {
    let mut cluster = Cluster::start(2).await;
    let photos = photos();
    let mut ids = Vec::new();
    for (name, bytes) in &photos {
        let entry = cluster.upload(name, bytes.clone()).await;
        ids.push(entry["image_id"].as_str().unwrap().to_owned());
    }
    let counts = cluster.until_idle().await;
    assert_eq!(counts["indexed"], photos.len(), "{counts}");
    assert_eq!(cluster.indexed().await.len(), photos.len());

    let giraffe = photos.iter().position(|(name, _)| name == "giraffe.jpg").unwrap();
    let id = &ids[giraffe];
    assert!(cluster.search("a giraffe", 5).await.contains(id));
    let original = cluster.http.get(cluster.cdnapi.url(&format!("/images/{id}"))).send().await.unwrap();
    assert_eq!(original.status(), StatusCode::OK);
    assert_eq!(original.bytes().await.unwrap(), photos[giraffe].1);
    let copy = cluster.http.get(cluster.cdnapi.url(&format!("/images/{id}?w=64&format=webp"))).send().await.unwrap();
    assert_eq!((copy.status(), &copy.headers()["content-type"]), (StatusCode::OK, &"image/webp".parse().unwrap()));

    assert_eq!(cluster.upload("copy.jpg", photos[giraffe].1.clone()).await["status"], "duplicate");
    assert_eq!(cluster.delete(id).await, StatusCode::NO_CONTENT);
    assert!(!cluster.search("a giraffe", 100).await.contains(id), "a deleted image is found");
    cluster.until_gone(id).await;
    // Within the time in which the queue takes the same message for a duplicate.
    assert_eq!(cluster.upload("giraffe.jpg", photos[giraffe].1.clone()).await["status"], "queued");
    cluster.until_idle().await;
    assert!(cluster.search("a giraffe", 5).await.contains(id), "an image that was uploaded again is not found");

    let url = cluster.ingestapi.url(&format!("/api/v1/ingest/images/{id}"));
    let change = cluster.http.patch(url).json(&json!({ "tags": ["tall"] })).send().await.unwrap();
    assert_eq!(change.status(), StatusCode::OK);
    let list = cluster.http.get(cluster.searchapi.url("/api/v1/image")).query(&[("filter", "tags:\"tall\"")]);
    let page: serde_json::Value = list.send().await.unwrap().json().await.unwrap();
    assert_eq!(page["total"], 1, "{page}");

    cluster.check().unwrap();
    for process in cluster.processes() {
        assert_eq!(process.stop(), Some(0), "a drain ends well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_to_the_form_of_one_process_and_back() {
    let cluster = Cluster::start(1).await;
    for (name, bytes) in photos().into_iter().take(20) {
        cluster.upload(&name, bytes).await;
    }
    cluster.until_idle().await;
    let gone = cluster.indexed().await.swap_remove(0);
    assert_eq!(cluster.delete(&gone).await, StatusCode::NO_CONTENT);
    let found = cluster.search("an old castle", 20).await;
    assert_eq!(found.len(), 19);

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (there, back, data) = (path("there.tar.zst"), path("back.tar.zst"), path("data"));
    cluster.export(&there).unwrap();
    command(&[], &["import", "--data-dir", &data, &there]).unwrap();
    let checked = command(&[], &["check", "--deep", "--data-dir", &data]).unwrap();
    assert!(checked.contains("19 indexed, 0 waiting, 0 failed, 1 deleted: 0 differences"), "{checked}");
    command(&[], &["export", "--data-dir", &data, &back]).unwrap();
    cluster.stores.command("moved", &["import", &back]).unwrap();
    let checked = cluster.stores.command("moved", &["check", "--deep"]).unwrap();
    assert!(checked.contains("19 indexed, 0 waiting, 0 failed, 1 deleted: 0 differences"), "{checked}");

    let mut moved = Process::start("searchapi", &cluster.stores, "moved");
    moved.until_ready().await;
    assert_eq!(moved.search("an old castle", 20).await, found, "the same ids in the same order");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_wait_for_their_stores_and_say_for_which() {
    let mut stores = Stores::start().await;
    for store in [&mut stores.nats, &mut stores.s3, &mut stores.milvus] {
        store.kill();
    }
    let mut cluster = Cluster::start_on(stores, 1);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    for (process, store) in
        [(&cluster.cdnapi, "object store"), (&cluster.ingestapi, "store"), (&cluster.searchapi, "store")]
    {
        let (status, problem) = process.readiness().await.expect("the admin port answers from the first moment");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let reason = problem["not_ready"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(store), "{problem}");
    }
    for store in [&mut cluster.stores.s3, &mut cluster.stores.nats, &mut cluster.stores.milvus] {
        store.restart().await;
    }
    cluster.until_ready().await;
    let (name, bytes) = photos().swap_remove(0);
    cluster.upload(&name, bytes).await;
    assert_eq!(cluster.until_idle().await["indexed"], 1);
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
