//! Uploads, changes and deletes over HTTP.

use reqwest::{StatusCode, multipart};
use serde_json::{Value, json};

use crate::server::{Server, ids, photo};

#[tokio::test(flavor = "multi_thread")]
async fn many_files_with_names_in_any_script_come_in_one_request() {
    let server = Server::start().await;
    let part = |photo_name: &str, name: &str| multipart::Part::bytes(photo(photo_name)).file_name(name.to_owned());
    let form = multipart::Form::new()
        .text("metadata", json!({ "tags": ["holiday"], "fields": { "rating": 5 } }).to_string())
        .part("file", part("giraffe.jpg", "жираф.jpg"))
        .part("file", part("cat.jpg", "ねこ.jpg"))
        .part("file", multipart::Part::bytes(b"no image at all".to_vec()).file_name("notes.jpg"))
        .part("file", part("owl.jpg", "../../بومة.jpg"));
    let response = server.http.post(server.url("/api/v1/ingest")).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let tasks: Value = response.json::<Value>().await.unwrap()["tasks"].take();
    let statuses: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["queued", "queued", "failed", "queued"]);
    assert_eq!(tasks[2]["error"]["status"], 415);
    server.until_idle().await;

    let query = [("filter", "tags:\"holiday\" AND fields.rating = 5")];
    let page: Value =
        server.http.get(server.url("/api/v1/image")).query(&query).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["total"], 3);
    let mut names: Vec<_> =
        page["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["жираф.jpg", "بومة.jpg", "ねこ.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_again_are_a_duplicate_until_they_are_deleted() {
    let server = Server::start().await;
    let first = server.upload("giraffe.jpg", photo("giraffe.jpg")).await;
    assert_eq!(server.ended(&first["task_id"]).await["status"], "indexed");
    let again = server.upload("copy.jpg", photo("giraffe.jpg")).await;
    assert_eq!(again["status"], "duplicate");
    assert_eq!(again["image_id"], first["image_id"]);

    let id = first["image_id"].as_str().unwrap();
    let url = server.url(&format!("/api/v1/ingest/images/{id}"));
    assert_eq!(server.http.delete(&url).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!server.search("a giraffe", 10).await.contains(&id.to_owned()), "a deleted image is not found");
    assert_eq!(server.http.delete(&url).send().await.unwrap().status(), StatusCode::NOT_FOUND);

    let third = server.upload("giraffe.jpg", photo("giraffe.jpg")).await;
    assert_eq!(third["status"], "queued");
    assert_eq!(server.ended(&third["task_id"]).await["status"], "indexed");
    assert_eq!(server.search("a giraffe", 10).await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexed_means_that_a_search_finds_it() {
    let server = Server::start().await;
    for name in ["cat.jpg", "owl.jpg", "panda.jpg", "koala.jpg"] {
        let entry = server.upload(name, photo(name)).await;
        server.ended(&entry["task_id"]).await;
        let found = server.search("an animal", 100).await;
        assert!(found.contains(&entry["image_id"].as_str().unwrap().to_owned()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_metadata_shows_in_filters() {
    let server = Server::start().await;
    let entry = server.upload("cat.jpg", photo("cat.jpg")).await;
    server.ended(&entry["task_id"]).await;
    let id = entry["image_id"].as_str().unwrap();
    let url = server.url(&format!("/api/v1/ingest/images/{id}"));
    let change = json!({ "tags": ["kitten"], "caption": "at play", "fields": { "room": "kitchen" } });
    let changed = server.http.patch(&url).json(&change).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(changed.json::<Value>().await.unwrap()["caption"], "at play");

    let by = async |filter: &str| {
        let query = [("filter", filter)];
        let page: Value =
            server.http.get(server.url("/api/v1/image")).query(&query).send().await.unwrap().json().await.unwrap();
        ids(&page["images"])
    };
    assert_eq!(by("tags:\"kitten\" AND fields.room = \"kitchen\"").await, [id]);
    server.http.patch(&url).json(&json!({ "tags": null, "fields": { "room": null } })).send().await.unwrap();
    assert!(by("tags:\"kitten\"").await.is_empty());
    assert_eq!(by("caption:\"play\"").await, [id], "what the patch does not name stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_list_answers_line_by_line() {
    let server = Server::start().await;
    let body = "{\"url\": \"http://127.0.0.1:9/a.jpg\"}\nnot json\n{\"url\": \"ftp://example.org/b.jpg\"}\n";
    let request =
        server.http.post(server.url("/api/v1/ingest")).header("content-type", "application/x-ndjson").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let tasks: Value = response.json::<Value>().await.unwrap()["tasks"].take();
    assert_eq!(tasks.as_array().unwrap().len(), 3);
    assert_eq!(tasks[1]["error"]["line"], 2);
    assert_eq!(tasks[2]["status"], "failed");
    let refused = server.ended(&tasks[0]["task_id"]).await;
    assert_eq!(refused["status"], "failed");
    assert_eq!(refused["error"]["code"], "address_refused", "loopback is not fetched unless configured");
}
