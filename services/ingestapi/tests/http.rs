//! What `ingestapi` promises over HTTP.

#![allow(clippy::unwrap_used)]

mod api;

use api::{Api, answer, file, png};
use backends::{keys, objects::PutCondition};
use bytes::Bytes;
use camino::Utf8PathBuf;
use futures::{StreamExt, stream};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use shared::{
    ImageId,
    config::Config,
    http::{Auth, KeyFile, Scope},
};
use tokio::io::AsyncWriteExt;

fn statuses(body: &Value) -> Vec<&str> {
    body["tasks"].as_array().expect("entries").iter().filter_map(|entry| entry["status"].as_str()).collect()
}

#[tokio::test]
async fn each_file_of_a_form_is_taken_or_refused_on_its_own() {
    let api = Api::start().await;
    let form = Form::new()
        .part("file", file("one.png", png(1)))
        .part("file", file("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()))
        .part("file", file("empty.png", Vec::new()))
        .part("file", file("two.png", png(2)));
    let (status, body) = api.post_form(form).await;
    assert_eq!(status, 202);
    assert_eq!(statuses(&body), ["queued", "failed", "failed", "queued"]);
    assert_eq!(body["tasks"][0]["image_id"], ImageId::of(&png(1)).to_string());
    let refused = &body["tasks"][1]["error"];
    assert_eq!((refused["status"].as_u64(), body["tasks"][1]["name"].as_str()), (Some(415), Some("drawing.svg")));
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("SVG")), "{refused}");
    let (status, task) = api.get(&format!("/api/v1/ingest/{}", body["tasks"][3]["task_id"].as_str().unwrap())).await;
    assert_eq!((status, &task["status"], &task["name"]), (200, &json!("queued"), &json!("two.png")));
}

#[tokio::test]
async fn a_form_of_which_nothing_is_taken_is_a_problem() {
    let api = Api::start().await;
    let form = Form::new().part("file", file("notes.txt", b"just some words".to_vec()));
    let (status, body) = api.post_form(form).await;
    assert_eq!((status, body["tasks"][0]["status"].as_str()), (415, Some("failed")));
    assert_eq!(body["type"], "https://imagesearch.dev/problems/unsupported-type");
    assert_eq!(api.post_form(Form::new().text("metadata", "{}")).await.0, 422);
    assert_eq!(api.post_form(Form::new().text("tags", "zoo")).await.0, 422);
    assert_eq!(api.post("text/plain", "hello").await.0, 415);
    assert_eq!(api.post("multipart/form-data; boundary=x", "--y").await.0, 400);
    assert!(api.stored_files().is_empty());
}

#[tokio::test]
async fn metadata_is_that_of_the_files_after_it() {
    let api = Api::start().await;
    let form = Form::new()
        .part("file", file("a.png", png(1)))
        .text("metadata", json!({"tags": ["zoo"]}).to_string())
        .part("file", file("b.png", png(2)))
        .text("metadata", json!({"caption": "a giraffe", "fields": {"rating": 5}}).to_string())
        .part("file", file("c.png", png(3)));
    assert_eq!(api.post_form(form).await.0, 202);
    let metadata = async |number| {
        let record = api.stores.records.get(ImageId::of(&png(number))).await.unwrap().expect("a record");
        serde_json::to_value(&record.document().expect("present").metadata).unwrap()
    };
    assert_eq!(metadata(1).await, json!({}));
    assert_eq!(metadata(2).await, json!({"tags": ["zoo"]}));
    assert_eq!(metadata(3).await, json!({"caption": "a giraffe", "fields": {"rating": 5}}));

    let form = Form::new().text("metadata", "{\"tag\": 1}").part("file", file("d.png", png(4)));
    assert_eq!(api.post_form(form).await.0, 422);
}

#[tokio::test]
async fn names_come_back_in_their_own_script_and_without_folders() {
    let api = Api::start().await;
    let names = [
        "Жираф.png",
        "キリン 🦒.png",
        "زرافة.png",
        "जिराफ़.png",
        "長頸鹿.png",
        "ยีราฟ.png",
        "a\"b;c.png",
        "photos/2024/cat.png",
    ];
    let form = names
        .iter()
        .enumerate()
        .fold(Form::new(), |form, (number, name)| form.part("file", file(name, png(number as u32))));
    let (_, body) = api.post_form(form).await;
    let found: Vec<_> = body["tasks"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(found[..7], names[..7]);
    assert_eq!(found[7], "cat.png");
}

#[tokio::test]
async fn an_image_on_its_way_is_a_duplicate_until_it_is_deleted() {
    let api = Api::start().await;
    let first = api.upload(png(1)).await;
    let second = api.upload(png(1)).await;
    assert_eq!((&second["status"], &second["task_id"]), (&json!("duplicate"), &first["task_id"]));

    let path = format!("/api/v1/ingest/images/{}", ImageId::of(&png(1)));
    assert_eq!(api.client.delete(api.url(&path)).send().await.unwrap().status(), 204);
    assert_eq!(api.client.delete(api.url(&path)).send().await.unwrap().status(), 404);
    let third = api.upload(png(1)).await;
    assert_eq!(third["status"], "queued");
    assert_ne!(third["task_id"], first["task_id"]);
}

#[tokio::test]
async fn an_upload_replaces_a_record_that_cannot_be_read() {
    let api = Api::start().await;
    let image_id = ImageId::of(&png(1));
    api.stores.objects.put(&keys::record(image_id), Bytes::from("{"), PutCondition::None).await.unwrap();
    assert_eq!(api.upload(png(1)).await["status"], "queued");
    assert!(api.stores.records.get(image_id).await.unwrap().is_some());
}

#[tokio::test]
async fn metadata_is_changed_by_a_merge_patch() {
    let api = Api::start().await;
    let form = Form::new()
        .text("metadata", json!({"tags": ["a"], "caption": "old"}).to_string())
        .part("file", file("a.png", png(1)));
    assert_eq!(api.post_form(form).await.0, 202);
    let patch = async |id: &str, patch: Value| {
        let request = api.client.patch(api.url(&format!("/api/v1/ingest/images/{id}")));
        let request = request.header("content-type", "application/merge-patch+json").body(patch.to_string());
        answer(request.send().await.unwrap()).await
    };
    let id = ImageId::of(&png(1)).to_string();
    let (status, document) = patch(&id, json!({"caption": null, "fields": {"rating": 4}})).await;
    assert_eq!((status, &document["tags"], document.get("caption")), (200, &json!(["a"]), None));
    assert_eq!(document["fields"], json!({"rating": 4}));
    assert_eq!(patch(&id, json!({"tags": "no list"})).await.0, 422);
    assert_eq!(patch(&id, json!([])).await.0, 422);
    assert_eq!(patch(&ImageId::of(b"nobody").to_string(), json!({})).await.0, 404);
    assert_eq!(patch("not-an-id", json!({})).await.0, 400);
}

#[tokio::test]
async fn urls_are_queued_and_what_is_none_is_told() {
    let api = Api::start().await;
    let urls =
        json!({"urls": ["https://example.org/a.jpg", "nowhere", "file:///etc/passwd"], "metadata": {"tags": ["web"]}});
    let (status, body) = api.post("application/json", urls.to_string()).await;
    assert_eq!((status, statuses(&body)), (202, vec!["queued", "failed", "failed"]));
    assert_eq!(body["tasks"][1]["error"]["status"], 422);
    assert_eq!(api.post("application/json", json!({"urls": ["nowhere"]}).to_string()).await.0, 422);
    assert_eq!(api.post("application/json", json!({"urls": []}).to_string()).await.0, 422);
    assert_eq!(api.post("application/json", json!({"links": []}).to_string()).await.0, 422);
    assert_eq!(api.post("application/json", "{").await.0, 400);
}

#[tokio::test]
async fn every_bulk_line_has_an_answer_of_its_own() {
    let api = Api::start().await;
    let long = format!("{{\"url\": \"https://example.org/{}\"}}", "x".repeat(70_000));
    let lines = [
        r#"{"url": "https://example.org/a.jpg"}"#,
        "",
        "nonsense",
        &long,
        r#"{"url": "https://example.org/b.jpg", "metadata": {"tags": ["x"]}}"#,
    ];
    let (status, body) = api.post("application/x-ndjson", lines.join("\n")).await;
    assert_eq!((status, statuses(&body)), (202, vec!["queued", "failed", "failed", "queued"]));
    let line = |entry: usize| body["tasks"][entry]["error"]["line"].as_u64();
    assert_eq!((line(1), line(2)), (Some(3), Some(4)));

    let many = format!("{}\n", r#"{"url": "https://example.org/a.jpg"}"#).repeat(1100);
    let api = Api::with(1 << 20, 10_000, Auth::off()).await;
    let (status, body) = api.post("application/x-ndjson", many).await;
    assert_eq!((status, body["tasks"].as_array().unwrap().len()), (202, 1001));
    assert_eq!(body["tasks"][1000]["error"]["line"], 1001);
}

#[tokio::test]
async fn a_full_queue_refuses_with_a_time_to_come_back() {
    let api = Api::with(1 << 20, 2, Auth::off()).await;
    assert_eq!(api.upload(png(1)).await["status"], "queued");
    // One fits, two don't: all or none.
    let urls = json!({"urls": ["https://example.org/a.jpg", "https://example.org/b.jpg"]}).to_string();
    assert_eq!(api.post("application/json", urls).await.0, 429);
    let form = Form::new().part("file", file("b.png", png(2))).part("file", file("c.png", png(3)));
    let (status, body) = api.post_form(form).await;
    assert_eq!((status, statuses(&body)), (202, vec!["queued", "failed"]));
    assert_eq!(body["tasks"][1]["error"]["type"], "https://imagesearch.dev/problems/queue-full");

    let form = Form::new().part("file", file("d.png", png(4)));
    let refused = api.client.post(api.url("/api/v1/ingest")).multipart(form).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_client_that_is_cut_off_leaves_nothing() {
    let api = Api::start().await;
    let mut socket = tokio::net::TcpStream::connect(api.address).await.unwrap();
    let head = "POST /api/v1/ingest HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 9000000\r\n\r\n\
                --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"cut.png\"\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&png(1)).await.unwrap();
    socket.write_all(&vec![1; 3_000_000]).await.unwrap();
    while api.stored_files().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(socket);
    while !api.stored_files().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.get("/api/v1/ingest").await.1["counts"]["queued"], 0);
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_and_leaves_nothing() {
    let api = Api::configured(Auth::off(), |config| config.http.idle_timeout_ms = 100).await;
    let start = Bytes::from(png(1));
    let stalled = stream::iter([Ok::<_, std::io::Error>(start)]).chain(stream::pending());
    let part = Part::stream(reqwest::Body::wrap_stream(stalled)).file_name("slow.png");
    let (status, body) = api.post_form(Form::new().part("file", part)).await;
    assert_eq!((status, body["status"].as_u64()), (408, Some(408)), "{body}");
    assert!(api.stored_files().is_empty());
    assert_eq!(api.get("/api/v1/ingest").await.1["counts"]["queued"], 0);
}

#[tokio::test]
async fn headers_of_a_part_have_an_end() {
    let api = Api::start().await;
    let endless = [b"--b\r\nx-header: ".to_vec(), vec![b'a'; 5_000_000]].concat();
    assert_eq!(api.post("multipart/form-data; boundary=b", endless).await.0, 400);
}

#[tokio::test]
async fn tasks_are_listed_newest_first_page_by_page() {
    let api = Api::start().await;
    for number in 0..3 {
        api.upload(png(number)).await;
    }
    let (status, first) = api.get("/api/v1/ingest?status=queued&limit=2").await;
    assert_eq!((status, first["tasks"].as_array().unwrap().len(), &first["counts"]["queued"]), (200, 2, &json!(3)));
    assert_eq!(first["tasks"][0]["image_id"], ImageId::of(&png(2)).to_string());
    let cursor = first["next_cursor"].as_str().expect("more");
    let (_, second) = api.get(&format!("/api/v1/ingest?status=queued&limit=2&cursor={cursor}")).await;
    assert_eq!((second["tasks"].as_array().unwrap().len(), second.get("next_cursor")), (1, None));
    for wrong in ["limit=0", "limit=1001", "status=lost", "cursor=%00"] {
        assert_eq!(api.get(&format!("/api/v1/ingest?{wrong}")).await.0, 400, "{wrong}");
    }
    assert_eq!(api.get("/api/v1/ingest/00000000-0000-7000-8000-000000000000").await.0, 404);
    assert_eq!(api.get("/api/v1/ingest/nonsense").await.0, 400);
}

#[tokio::test]
async fn changes_of_tasks_come_as_events_until_the_server_ends() {
    let api = Api::start().await;
    let response = api.client.get(api.url("/api/v1/ingest/events")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let entry = api.upload(png(1)).await;
    let mut events = response.bytes_stream();
    let event = String::from_utf8(events.next().await.expect("an event").unwrap().to_vec()).unwrap();
    assert!(event.starts_with("event: task\n") && event.contains(entry["task_id"].as_str().unwrap()), "{event}");
    api.shutdown.cancel();
    while let Some(Ok(_)) = events.next().await {}
}

#[tokio::test]
async fn samples_are_taken_in_once() {
    let api = Api::start().await;
    let post = async || answer(api.client.post(api.url("/api/v1/ingest/samples")).send().await.unwrap()).await;
    let (status, body) = post().await;
    assert_eq!((status, statuses(&body)), (202, vec!["queued", "queued"]));
    assert_eq!(statuses(&post().await.1), ["duplicate", "duplicate"]);
}

#[tokio::test]
async fn each_route_asks_for_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let keys_file = Utf8PathBuf::from_path_buf(folder.path().join("keys.json")).unwrap();
    let keys = KeyFile::at(&keys_file);
    let key = |scope: Scope| keys.create(scope.as_str(), [scope].into()).unwrap().key.reveal().to_owned();
    let (read, ingest, delete) = (key(Scope::Read), key(Scope::Ingest), key(Scope::Delete));
    let mut config = Config::default();
    config.auth.keys_file = Some(keys_file);
    let api = Api::with(1 << 20, 10, Auth::open(&config).unwrap()).await;

    let image = format!("/api/v1/ingest/images/{}", ImageId::of(b"nobody"));
    let status = async |method: Method, path: &str, key: Option<&String>| {
        let request = api.client.request(method, api.url(path));
        let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.unwrap().status().as_u16()
    };
    for (method, path, right, answer) in [
        (Method::GET, "/api/v1/ingest", &ingest, 200),
        (Method::POST, "/api/v1/ingest/samples", &ingest, 202),
        (Method::PATCH, image.as_str(), &ingest, 415),
        (Method::DELETE, image.as_str(), &delete, 404),
    ] {
        assert_eq!(status(method.clone(), path, Some(right)).await, answer, "{method} {path}");
        let wrong = if right == &delete { &ingest } else { &read };
        assert_eq!(status(method.clone(), path, Some(wrong)).await, 403, "{method} {path}");
        assert_eq!(status(method.clone(), path, None).await, 401, "{method} {path}");
    }
}
