//! Real servers on loopback, which only a policy that allows it lets through.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    http::{StatusCode, header},
    response::Redirect,
    routing::get,
};
use futures::stream;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;

const LIMITS: FetchLimits =
    FetchLimits { max_bytes: 100_000, max_redirects: 3, total: Duration::from_secs(20), idle: Duration::from_secs(20) };

fn fetcher(allow: &[&str], limits: FetchLimits) -> Fetcher {
    let allow: Vec<_> = allow.iter().map(ToString::to_string).collect();
    Fetcher::new(AddressPolicy::new(&allow).expect("networks"), limits).expect("a client")
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A server that answers every request with these bytes and hangs up.
async fn serve_raw(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut request).await;
            let _ = socket.write_all(answer).await;
        }
    });
    address
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, FetchError> {
    let mut body = fetcher.open(&url.parse().expect("a URL")).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = body.chunk().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn every_spelling_of_a_private_host_is_refused() {
    let fetcher = fetcher(&[], LIMITS);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "0.0.0.0",
        "10.0.0.1:8080",
        "１２７.0.0.1",
    ] {
        let error = fetch(&fetcher, &format!("http://{host}/latest/meta-data")).await.expect_err(host);
        assert!(matches!(error, FetchError::Address { .. }), "{host}: {error:?}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn other_schemes_and_credentials_are_refused() {
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    assert!(matches!(fetch(&fetcher, "file:///etc/passwd").await, Err(FetchError::Scheme(_))));
    let error = fetch(&fetcher, "http://me:secret@127.0.0.1/").await.expect_err("refused");
    assert!(matches!(error, FetchError::Credentials(_)) && !error.to_string().contains("secret"));
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let redirect = || async { Redirect::temporary("http://127.0.0.2/secret") };
    let server = serve(Router::new().route("/", get(redirect))).await;
    // Loopback stands in for the public server; its neighbour is the private one.
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    let error = fetch(&fetcher, &format!("http://{server}/")).await.expect_err("refused");
    assert!(matches!(error, FetchError::Address { .. }), "{error:?}");
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    let router = Router::new()
        .route("/a", get(|| async { Redirect::temporary("/b") }))
        .route("/b", get(|| async { Redirect::to("image?x=1#part") }))
        .route("/image", get(|| async { "bytes" }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }));
    let server = serve(router).await;
    let fetcher = fetcher(&["127.0.0.0/8"], LIMITS);
    assert_eq!(fetch(&fetcher, &format!("http://{server}/a")).await.expect("fetched"), b"bytes");
    let error = fetch(&fetcher, &format!("http://{server}/loop")).await.expect_err("a loop");
    assert!(matches!(error, FetchError::Redirects { limit: 3, .. }));
}

#[tokio::test]
async fn a_chunked_body_without_end_is_cut_at_the_limit() {
    let endless = || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(vec![7_u8; 8192]))) };
    let server = serve(Router::new().route("/", get(endless))).await;
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    let error = fetch(&fetcher, &format!("http://{server}/")).await.expect_err("too large");
    assert!(matches!(error, FetchError::TooLarge { limit: 100_000, .. }));
}

#[tokio::test]
async fn a_content_length_is_not_believed() {
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    let short = serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nmore than one").await;
    assert_eq!(fetch(&fetcher, &format!("http://{short}/")).await.expect("what was announced"), b"m");
    let huge = serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx").await;
    assert!(matches!(fetch(&fetcher, &format!("http://{huge}/")).await, Err(FetchError::TooLarge { .. })));
    let cut = serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345").await;
    let error = fetch(&fetcher, &format!("http://{cut}/")).await.expect_err("cut off");
    assert!(error.is_transient(), "{error:?}");
    let none = serve_raw(b"HTTP/1.0 200 OK\r\n\r\nwhole").await;
    assert_eq!(fetch(&fetcher, &format!("http://{none}/")).await.expect("fetched"), b"whole");
}

#[tokio::test]
async fn statuses_tell_whether_another_try_makes_sense() {
    let answers = |status: u16| {
        get(move || async move { (StatusCode::from_u16(status).expect("a status"), [(header::RETRY_AFTER, "7")]) })
    };
    let statuses = [
        (404, false),
        (403, false),
        (410, false),
        (204, false),
        (408, true),
        (425, true),
        (429, true),
        (500, true),
        (503, true),
    ];
    let router = statuses
        .iter()
        .fold(Router::new(), |router, (status, _)| router.route(&format!("/{status}"), answers(*status)));
    let server = serve(router).await;
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    for (status, transient) in statuses {
        let error = fetch(&fetcher, &format!("http://{server}/{status}")).await.expect_err("no image");
        assert_eq!(error.is_transient(), transient, "{status}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let stuck = || async { Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()) };
    let server = serve(Router::new().route("/", get(stuck))).await;
    let idle = fetcher(&["127.0.0.1"], FetchLimits { idle: Duration::from_millis(50), ..LIMITS });
    assert!(matches!(fetch(&idle, &format!("http://{server}/")).await, Err(FetchError::Idle { .. })));
    let total = fetcher(&["127.0.0.1"], FetchLimits { total: Duration::from_millis(50), ..LIMITS });
    assert!(matches!(fetch(&total, &format!("http://{server}/")).await, Err(FetchError::Timeout { .. })));
}

#[tokio::test]
async fn an_unasked_content_coding_is_refused() {
    let coded = || async { ([(header::CONTENT_ENCODING, "gzip")], "bytes") };
    let server = serve(Router::new().route("/", get(coded))).await;
    let fetcher = fetcher(&["127.0.0.1"], LIMITS);
    assert!(matches!(fetch(&fetcher, &format!("http://{server}/")).await, Err(FetchError::Encoded { .. })));
}
