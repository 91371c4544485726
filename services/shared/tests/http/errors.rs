//! Whatever goes wrong, the client gets problem details with the id of its request.

use reqwest::{Method, multipart};

use crate::world::{World, problem};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let world = World::start().await;
    let body = problem(world.get("/nowhere?text=private").await, 404, "not-found").await;
    assert_eq!(body["detail"], "nothing is served at /nowhere");
}

#[tokio::test]
async fn another_method_is_refused_and_told_which_would_do() {
    let world = World::start().await;
    let response = world.client.delete(world.url("/json")).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "POST");
    let body = problem(response, 405, "method-not-allowed").await;
    assert_eq!(body["detail"], "/json doesn't take DELETE; it takes POST");
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_why() {
    let world = World::start().await;
    let send = |content_type: &'static str, body: String| {
        world.client.post(world.url("/json")).header("content-type", content_type).body(body).send()
    };
    let json = "application/json";
    problem(send("text/plain", "{}".into()).await.unwrap(), 415, "unsupported-type").await;
    problem(send(json, "{".into()).await.unwrap(), 400, "bad-request").await;
    let body = problem(send(json, r#"{"age": 300}"#.into()).await.unwrap(), 422, "unprocessable").await;
    assert!(body["detail"].as_str().unwrap().contains("300"), "{body}");
    let body = problem(send(json, r#"{"agee": 3}"#.into()).await.unwrap(), 422, "unprocessable").await;
    assert!(body["detail"].as_str().unwrap().contains("unknown field `agee`"), "{body}");
    let long = format!("{}{{}}", " ".repeat(2_000_000));
    problem(send(json, long).await.unwrap(), 413, "too-large").await;
}

#[tokio::test]
async fn query_and_path_say_which_part_is_wrong() {
    let world = World::start().await;
    let body = problem(world.get("/query").await, 400, "bad-request").await;
    assert!(body["detail"].as_str().unwrap().contains("missing field `age`"), "{body}");
    let body = problem(world.get("/query?age=old").await, 400, "bad-request").await;
    assert!(body["detail"].as_str().unwrap().contains("query string"), "{body}");
    let body = problem(world.get("/images/giraffe").await, 400, "bad-request").await;
    assert!(body["detail"].as_str().unwrap().contains("\"giraffe\" is not an image id"), "{body}");
    problem(world.get("/images/%FF").await, 400, "bad-request").await;
}

#[tokio::test]
async fn a_form_that_is_broken_or_too_large_is_refused() {
    let world = World::start().await;
    let post = || world.client.post(world.url("/form"));
    problem(post().body("file").send().await.unwrap(), 415, "unsupported-type").await;
    let broken = post().header("content-type", "multipart/form-data; boundary=b").body("--b\r\ncut off");
    problem(broken.send().await.unwrap(), 400, "bad-request").await;
    let large = multipart::Form::new().part("file", multipart::Part::bytes(vec![0; 100 << 10]).file_name("写真.jpg"));
    problem(post().multipart(large).send().await.unwrap(), 413, "too-large").await;
    let fits = multipart::Form::new().part("file", multipart::Part::bytes(vec![0; 50 << 10]));
    assert_eq!(post().multipart(fits).send().await.unwrap().text().await.unwrap(), (50 << 10).to_string());
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_server_lives() {
    let world = World::start().await;
    for path in ["/panic", "/internal"] {
        let body = problem(world.get(path).await, 500, "internal").await;
        assert!(!body.to_string().contains("1234"), "{body}");
    }
    assert_eq!(world.get("/text").await.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let world = World::start().await;
    let response = world.get("/full").await;
    assert_eq!(response.headers()["retry-after"], "7");
    problem(response, 429, "queue-full").await;
}

#[tokio::test]
async fn an_error_that_a_library_made_keeps_its_status_and_headers() {
    let world = World::start().await;
    let response = world.get("/range").await;
    assert_eq!(response.headers()["content-range"], "bytes */9");
    problem(response, 416, "unsatisfiable-range").await;
}

#[tokio::test]
async fn an_error_to_head_has_no_body() {
    let world = World::start().await;
    let response = world.client.request(Method::HEAD, world.url("/nowhere")).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.bytes().await.unwrap().len(), 0);
}
