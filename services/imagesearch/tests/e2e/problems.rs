//! Every error is problem+json with a request id, whoever raised it.

use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;

use crate::server::Server;

async fn assert_problem(response: Response, status: StatusCode, slug: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], format!("https://imagesearch.dev/problems/{slug}"));
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["request_id"], request_id.as_str());
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_request_has_its_problem() {
    let server = Server::start_with(&[("INGESTAPI__MAX_IMAGE_BYTES", "100000")]).await;
    let absent = "0".repeat(64);
    let reads = [
        ("/api/v1/nothing", StatusCode::NOT_FOUND, "not-found"),
        ("/images/", StatusCode::NOT_FOUND, "not-found"),
        (&format!("/images/{absent}"), StatusCode::NOT_FOUND, "not-found"),
        (&format!("/api/v1/image/{absent}"), StatusCode::NOT_FOUND, "not-found"),
        (&format!("/api/v1/image/{absent}/similar"), StatusCode::NOT_FOUND, "not-found"),
        ("/api/v1/image/not-an-id", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/ingest/not-an-id", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/ingest?status=lost", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/image?cursor=rubbish", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/image/search?text=", StatusCode::BAD_REQUEST, "empty-query"),
        ("/api/v1/image/search?text=cat&limit=0", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/image/search?text=cat&limit=x", StatusCode::BAD_REQUEST, "bad-request"),
        ("/api/v1/image/search?text=cat&limit=100&offset=16300", StatusCode::BAD_REQUEST, "search-window"),
    ];
    for (path, status, slug) in reads {
        println!("{path}");
        assert_problem(server.get(path).await, status, slug).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_makes_no_sense_names_the_column() {
    let server = Server::start().await;
    let query = [("text", "cat"), ("filter", "width >= 10 AND widht = 3")];
    let response = server.http.get(server.url("/api/v1/image/search")).query(&query).send().await.unwrap();
    let problem = assert_problem(response, StatusCode::BAD_REQUEST, "invalid-filter").await;
    assert_eq!(problem["column"], 17);
    assert!(problem["detail"].as_str().unwrap().contains("width"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_a_type_or_a_size_that_is_not_taken_is_told() {
    let server = Server::start_with(&[("INGESTAPI__MAX_IMAGE_BYTES", "100000")]).await;
    let ingest = server.url("/api/v1/ingest");

    let response = server.http.request(Method::PUT, &ingest).send().await.unwrap();
    assert!(response.headers().contains_key(header::ALLOW));
    assert_problem(response, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;

    let text = server.http.post(&ingest).header(header::CONTENT_TYPE, "text/plain").body("hello");
    assert_problem(text.send().await.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type").await;

    let broken = server.http.post(&ingest).header(header::CONTENT_TYPE, "application/json").body("{");
    assert_problem(broken.send().await.unwrap(), StatusCode::BAD_REQUEST, "bad-request").await;

    let svg = server.try_upload("picture.png", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()).await.unwrap();
    let problem = assert_problem(svg, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type").await;
    assert!(problem["detail"].as_str().unwrap().contains("SVG"), "{problem}");

    let large =
        server.try_upload("large.jpg", [&[0xff, 0xd8, 0xff, 0xe0][..], &vec![0; 200_000]].concat()).await.unwrap();
    assert_problem(large, StatusCode::PAYLOAD_TOO_LARGE, "too-large").await;
}
