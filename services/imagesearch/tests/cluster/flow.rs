//! From an upload to what finds it, across processes.

use std::time::Instant;

use reqwest::StatusCode;
use serde_json::json;

use crate::cluster::{Cluster, DEADLINE, POLL, Process, Stores, command, ids, photos};

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
    let koala = photos.iter().position(|(name, _)| name == "koala.jpg").unwrap();
    assert_eq!(relevant(&cluster, "a koala").await, ids[koala..=koala]);
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

/// What is relevant, as soon as a worker has measured the collection and `searchapi` knows of it.
async fn relevant(cluster: &Cluster, text: &str) -> Vec<String> {
    let started = Instant::now();
    loop {
        let search = cluster.http.get(cluster.searchapi.url("/api/v1/image/search"));
        let response = search.query(&[("text", text), ("min_relevance", "0.5")]).send().await.unwrap();
        if response.status() == StatusCode::OK {
            let page: serde_json::Value = response.json().await.unwrap();
            return ids(&page["results"]);
        }
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert!(started.elapsed() < DEADLINE, "the collection is not measured");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_each_role_are_one_service() {
    let cluster = Cluster::start(2).await;
    let mut others = cluster.start_others();
    for process in &mut others {
        process.until_ready().await;
    }
    let [ingestapi, searchapi, cdnapi] = &others;
    let mut events = cluster.http.get(ingestapi.url("/api/v1/ingest/events")).send().await.unwrap();
    let photos = photos();
    let mut ids = Vec::new();
    for (number, (name, bytes)) in photos.iter().take(20).enumerate() {
        let target = if number % 2 == 0 { &cluster.ingestapi } else { ingestapi };
        let entry = cluster.upload_to(target, name, bytes.clone()).await;
        ids.push(entry["image_id"].as_str().unwrap().to_owned());
    }
    cluster.until_idle().await;
    ingestapi.until_idle().await;
    assert_eq!(cluster.search("an animal", 20).await, searchapi.search("an animal", 20).await);
    let read = async {
        let mut told = String::new();
        while !told.contains("\"indexed\"") {
            told.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().expect("the stream goes on")));
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("an event of a task that any process took");

    // Taken in by one, refused as known by the other, deleted by one, gone for the other.
    assert_eq!(cluster.upload_to(ingestapi, "copy.jpg", photos[0].1.clone()).await["status"], "duplicate");
    let url = ingestapi.url(&format!("/api/v1/ingest/images/{}", ids[0]));
    assert_eq!(cluster.http.delete(url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!cluster.search("an animal", 100).await.contains(&ids[0]));
    cluster.until_gone(&ids[0]).await;
    let picture = cluster.http.get(cdnapi.url(&format!("/images/{}", ids[1]))).send().await.unwrap();
    assert_eq!(picture.bytes().await.unwrap(), photos[1].1);
    cluster.check().unwrap();
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
async fn a_rebuild_beside_running_roles_finds_the_same_images() {
    let mut cluster = Cluster::start(1).await;
    for (name, bytes) in photos().into_iter().take(20) {
        cluster.upload(&name, bytes).await;
    }
    cluster.until_idle().await;
    let gone = cluster.indexed().await.swap_remove(0);
    assert_eq!(cluster.delete(&gone).await, StatusCode::NO_CONTENT);
    let found = cluster.search("an old castle", 20).await;
    let told = cluster.reindex().unwrap();
    assert!(told.contains("19 images indexed, 0 failed, 1 deleted ones left out"), "{told}");
    cluster.until_ready().await;
    cluster.until_idle().await;
    assert_eq!(cluster.search("an old castle", 20).await, found);
    cluster.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_does_everything_over_shared_stores_too() {
    let stores = Stores::start().await;
    let mut everything = Process::start("up", &stores, "alone");
    everything.until_ready().await;
    let http = reqwest::Client::new();
    for (name, bytes) in photos().into_iter().take(5) {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name);
        let form = reqwest::multipart::Form::new().part("file", part);
        let answer = http.post(everything.url("/api/v1/ingest")).multipart(form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
    everything.until_idle().await;
    assert_eq!(everything.search("an animal", 10).await.len(), 5);
    let checked = stores.command("alone", &["check", "--deep", "--idle"]).unwrap();
    assert!(checked.contains("5 indexed, 0 waiting, 0 failed, 0 deleted: 0 differences"), "{checked}");
    assert_eq!(everything.stop(), Some(0));
}
