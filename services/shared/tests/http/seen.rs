//! What others see of a server: ids, headers, compression, metrics, readiness, its description.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use shared::{
    config::Http,
    http::{AdminPort, Auth, Readiness, Scope, document, serve_admin, session, with_docs},
    telemetry::LogFilter,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, problem};

#[tokio::test]
async fn a_request_keeps_its_own_id() {
    let world = World::start().await;
    let ask = |id: &'static str| world.client.get(world.url("/nowhere")).header("x-request-id", id).send();
    let body = problem(ask("upload-17").await.unwrap(), 404, "not-found").await;
    assert_eq!(body["request_id"], "upload-17");
    let body = problem(ask("forged\" line").await.unwrap(), 404, "not-found").await;
    assert_ne!(body["request_id"], "forged\" line");
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let world = World::start().await;
    for path in ["/text", "/nowhere", "/panic"] {
        let response = world.get(path).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "same-origin");
    }
}

#[tokio::test]
async fn text_is_compressed_and_pictures_and_events_are_not() {
    let world = World::start().await;
    let ask = async |path: &str, encodings: &str| {
        let response = world.client.get(world.url(path)).header("accept-encoding", encodings).send().await.unwrap();
        response.headers().get("content-encoding").map(|encoding| encoding.to_str().unwrap().to_owned())
    };
    assert_eq!(ask("/long", "gzip, br").await.as_deref(), Some("br"));
    assert_eq!(ask("/long", "gzip").await.as_deref(), Some("gzip"));
    for (path, encodings) in [
        ("/long", ""),
        ("/text", "gzip, br"),
        ("/nowhere", "gzip, br"),
        ("/image", "gzip, br"),
        ("/events", "gzip, br"),
    ] {
        assert_eq!(ask(path, encodings).await, None, "{path}");
    }
}

struct Admin {
    url: String,
    stop: CancellationToken,
    draining: CancellationToken,
}

async fn admin(world: &World, readiness: Readiness) -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
    let port = AdminPort {
        metrics: world.metrics.clone(),
        readiness,
        log_filter: LogFilter::new("info").unwrap(),
        auth: world.auth.clone(),
        draining: draining.clone(),
    };
    let ended = stop.clone();
    tokio::spawn(async move { serve_admin(listener, &Http::default(), port, ended).await });
    Admin { url, stop, draining }
}

#[tokio::test]
async fn metrics_count_requests_by_route_template() {
    let world = World::start().await;
    let admin = admin(&world, Readiness::new()).await;
    for id in ["giraffe", "zebra"] {
        world.get(&format!("/images/{id}")).await;
        world.get(&format!("/nowhere/{id}")).await;
    }
    world.client.request(reqwest::Method::from_bytes(b"BREW").unwrap(), world.url("/text")).send().await.unwrap();
    let response = world.client.get(format!("{}/metrics", admin.url)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    for line in [
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/images/{image_id}",http_response_status_code="400"} 2"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="unmatched",http_response_status_code="404"} 2"#,
        r#"http_server_request_duration_seconds_count{http_request_method="_OTHER",http_route="/text",http_response_status_code="405"} 1"#,
        "http_server_active_requests 0",
        r#"imagesearch_build_info{version=""#,
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("giraffe"), "{text}");
}

#[tokio::test]
async fn a_process_is_ready_when_all_its_checks_are() {
    let world = World::start().await;
    let warm = Arc::new(AtomicBool::new(false));
    let readiness = Readiness::new();
    let model = warm.clone();
    readiness.add("model", move || {
        let ready = model.load(Ordering::Relaxed);
        async move { if ready { Ok(()) } else { Err("warming up".to_owned()) } }
    });
    readiness.add("objects", async || Ok(()));
    let admin = admin(&world, readiness).await;
    let ask = async |path: &str| world.client.get(format!("{}{path}", admin.url)).send().await.unwrap();

    assert_eq!(ask("/healthz").await.status(), 200);
    let body = problem(ask("/readyz").await, 503, "unavailable").await;
    assert_eq!(body["not_ready"], serde_json::json!([{"name": "model", "reason": "warming up"}]));
    warm.store(true, Ordering::Relaxed);
    assert_eq!(ask("/readyz").await.status(), 200);

    admin.draining.cancel();
    let body = problem(ask("/readyz").await, 503, "unavailable").await;
    assert_eq!(body["not_ready"][0]["name"], "shutdown");
    assert_eq!(ask("/healthz").await.status(), 200);
    admin.stop.cancel();
}

#[tokio::test]
async fn what_is_logged_changes_by_an_admin_key_alone_once_there_is_a_key() {
    let world = World::start().await;
    let admin = admin(&world, Readiness::new()).await;
    let url = format!("{}/log-filter", admin.url);
    let put = |key: Option<String>, filter: &str| {
        let request = world.client.put(&url).json(&serde_json::json!({"filter": filter}));
        key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth).send()
    };
    let shown = async || -> String {
        let answer: Value = world.client.get(&url).send().await.unwrap().json().await.unwrap();
        answer["filter"].as_str().unwrap().to_owned()
    };
    // Without any key, this machine may; not a page whose name was rebound to it.
    assert_eq!(put(None, "info,shared=debug").await.unwrap().status(), 200);
    assert_eq!(shown().await, "info,shared=debug");
    let rebound = world.client.put(&url).header("host", "evil.example").json(&serde_json::json!({"filter": "trace"}));
    problem(rebound.send().await.unwrap(), 403, "forbidden").await;

    let (_, reader) = world.key(&[Scope::Read, Scope::Ingest, Scope::Delete]);
    let (_, chief) = world.key(&[Scope::Admin]);
    // Keys are noticed within a second; until then, it is the filter that is refused.
    while put(None, "inof").await.unwrap().status() == 422 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    problem(put(None, "trace").await.unwrap(), 401, "unauthorized").await;
    problem(put(Some(reader), "trace").await.unwrap(), 403, "forbidden").await;
    assert_eq!(shown().await, "info,shared=debug");
    assert_eq!(put(Some(chief.clone()), "warn").await.unwrap().status(), 200);
    for (wrong, reason) in [("inof", "is no level"), ("warn,shared=loud", "shared=loud"), ("", "is empty")] {
        let body = problem(put(Some(chief.clone()), wrong).await.unwrap(), 422, "unprocessable").await;
        assert!(body["detail"].as_str().unwrap().contains(reason), "{body}");
    }
    assert_eq!(shown().await, "warn");
    admin.stop.cancel();
}

#[tokio::test]
async fn a_service_describes_itself_without_help_from_elsewhere() {
    let routes = || session::router(Auth::off());
    let router = with_docs("imagesearch test", "Nothing.", routes());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let api: Value = reqwest::get(format!("{url}/openapi.json")).await.unwrap().json().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"), "{api}");
    assert_eq!(api, serde_json::to_value(document("imagesearch test", "Nothing.", routes())).unwrap());
    assert_eq!(api["info"]["title"], "imagesearch test");
    let responses = &api["paths"]["/api/v1/session"]["get"]["responses"];
    let schema = &responses["default"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem");
    assert!(api["components"]["schemas"]["Problem"]["properties"]["request_id"].is_object());
    assert!(api["components"]["securitySchemes"]["api_key"].is_object());

    let page = reqwest::get(format!("{url}/docs/")).await.unwrap().text().await.unwrap();
    assert!(page.contains("swagger") && !page.contains("https://"), "{page}");
}
