//! Slow, greedy and vanishing clients, too many of them, and an end while requests are under way.

use std::time::Duration;

use reqwest::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, problem};

/// Everything that the server still sends, until it closes the connection.
async fn rest(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_a_timeout() {
    let world = World::with(|config| config.http.request_timeout_ms = 50).await;
    let response = world.get("/stuck").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 504, "timeout").await;
}

#[tokio::test]
async fn too_many_requests_at_once_are_shed() {
    let world = World::with(|config| config.http.max_concurrent_requests = 1).await;
    let first = tokio::spawn(world.client.get(world.url("/gate")).send());
    world.gate.reached.notified().await;
    let response = world.get("/text").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503, "overloaded").await;
    world.gate.open.notify_one();
    assert_eq!(first.await.unwrap().unwrap().text().await.unwrap(), "through");
    assert_eq!(world.get("/text").await.status(), 200);
}

#[tokio::test]
async fn connections_past_the_limit_wait_for_a_place_and_are_all_served() {
    let world = World::with(|config| config.http.max_connections = 2).await;
    let clients = (0..20).map(|_| async {
        let mut stream = world.connect().await;
        stream.write_all(b"GET /crowd HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        // Kept-alive connections end by themselves once the server is full, so nobody waits for an idle one.
        rest(&mut stream).await
    });
    let answers = tokio::time::timeout(Duration::from_mins(1), futures::future::join_all(clients)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{answers:?}");
    let most = world.gate.most_inside.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} at once");
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_cut_off() {
    let world = World::with(|config| config.http.idle_timeout_ms = 50).await;
    for start in ["", "GET /text HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
        let mut stream = world.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        assert!(!rest(&mut stream).await.contains("200 OK"));
    }
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_told_and_cut_off() {
    let world = World::with(|config| config.http.idle_timeout_ms = 50).await;
    for (path, content_type, start) in [
        ("/bytes", "application/octet-stream", "only"),
        ("/json", "application/json", "{"),
        ("/form", "multipart/form-data; boundary=b", "--b\r\n"),
    ] {
        let mut stream = world.connect().await;
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: 99");
        stream.write_all(format!("{head}\r\n\r\n{start}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("problems/timeout"), "{answer}");
    }
}

#[tokio::test]
async fn an_upload_may_take_longer_than_a_request_as_long_as_it_moves() {
    let world = World::with(|config| {
        config.http.request_timeout_ms = 100;
        config.http.idle_timeout_ms = 10_000;
    })
    .await;
    let chunks = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (sent < 10).then_some((Ok::<_, std::io::Error>("chunk"), sent + 1))
    });
    let response = world.client.post(world.url("/bytes")).body(Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "50");
}

#[tokio::test]
async fn a_large_upload_that_is_refused_early_still_gets_its_answer() {
    let world = World::start().await;
    for _ in 0..5 {
        let body = vec![0_u8; 32 << 20];
        let response = world.client.post(world.url("/bytes")).body(body).send().await.unwrap();
        problem(response, 413, "too-large").await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let world = World::with(|config| {
        config.http.idle_timeout_ms = 50;
        config.http.shutdown_timeout_ms = u64::MAX / 2;
    })
    .await;
    let mut stream = world.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    // Nothing is read until the server has given up: it ends only once no connection is left.
    world.shutdown.cancel();
    world.server.await.unwrap().unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_server_does() {
    let world = World::start().await;
    let request = tokio::spawn(world.client.get(world.url("/gate")).send());
    world.gate.reached.notified().await;
    world.shutdown.cancel();
    // No new connection is taken any more.
    while world.client.get(world.url("/text")).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!world.server.is_finished());
    world.gate.open.notify_one();
    assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "through");
    world.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_shutdown_timeout() {
    let world = World::with(|config| config.http.shutdown_timeout_ms = 50).await;
    let mut response = world.get("/quiet").await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "x");
    world.shutdown.cancel();
    world.server.await.unwrap().unwrap();
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn an_event_stream_ends_by_itself_at_shutdown() {
    let world = World::start().await;
    let mut response = world.get("/events").await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: first\n\n");
    world.shutdown.cancel();
    assert_eq!(response.chunk().await.unwrap(), None);
    world.server.await.unwrap().unwrap();
}
