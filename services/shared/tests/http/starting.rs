//! A server that listens before its routes are there.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use shared::{
    config::Http,
    http::{Auth, Kit, Problem, Routes, ServeError, serve},
    telemetry::Metrics,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::world::problem;

struct Starting {
    address: SocketAddr,
    routes: Routes,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
}

async fn start() -> Starting {
    let starting = Router::new().fallback(|| async { Problem::starting(Some("index")) });
    let (routes, shutdown) = (Routes::starting(starting), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kit = Kit::new(&Http::default(), Auth::off(), &Metrics::new());
    let (served, stop) = (routes.clone(), shutdown.clone());
    let server = tokio::spawn(async move { serve("test", listener, served, &kit, stop).await });
    Starting { address, routes, shutdown, server }
}

/// Asks once more on a connection; the answer, which ends with this.
async fn ask(connection: &mut TcpStream, end: &str) -> String {
    connection.write_all(b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut bytes = [0; 4096];
        let read = connection.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the connection ended after {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    answer
}

#[tokio::test]
async fn a_server_that_is_starting_says_so_and_serves_its_routes_once_they_are_there() {
    let Starting { address, routes, .. } = start().await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut connection, "\"store\":\"index\"}").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for header in ["retry-after: 5\r\n", "x-content-type-options: nosniff\r\n", "x-request-id: "] {
        assert!(answer.contains(header), "{header} is not in {answer}");
    }
    routes.open(Router::new().route("/text", get(|| async { "ok" })));
    let answer = ask(&mut connection, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
}

#[tokio::test]
async fn an_upload_to_a_server_that_is_starting_is_answered_too() {
    let Starting { address, .. } = start().await;
    let body = vec![0_u8; 8 << 20];
    let answer = reqwest::Client::new().post(format!("http://{address}/")).body(body).send().await.unwrap();
    let told = problem(answer, 503, "unavailable").await;
    assert_eq!(told["store"], "index");
}

#[tokio::test]
async fn a_server_that_is_still_starting_ends_in_order() {
    let Starting { address, shutdown, server, .. } = start().await;
    problem(reqwest::get(format!("http://{address}/")).await.unwrap(), 503, "unavailable").await;
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
