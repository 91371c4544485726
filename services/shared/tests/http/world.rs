//! A server on a free port, with routes that misbehave in every way the kit has to deal with.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    response::{IntoResponse, Sse, sse::Event},
    routing::{get, post},
};
use camino::Utf8PathBuf;
use futures::{StreamExt, stream};
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;
use shared::{
    ImageId,
    config::Config,
    http::{
        Auth, Json, KeyFile, Kit, Multipart, Path, Problem, Query, Scope, ServeError, ShuttingDown, require, serve,
        session,
    },
    telemetry::Metrics,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) keys: KeyFile,
    pub(crate) auth: Arc<Auth>,
    pub(crate) metrics: Metrics,
    pub(crate) gate: Arc<Gate>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<Result<(), ServeError>>,
    folder: Arc<tempfile::TempDir>,
}

/// A handler that stands still until the test lets it go.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
    inside: AtomicUsize,
    /// The most requests that were in `/crowd` at the same time.
    pub(crate) most_inside: AtomicUsize,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::in_folder(Arc::new(tempfile::tempdir().unwrap()), configure).await
    }

    async fn in_folder(folder: Arc<tempfile::TempDir>, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config =
            Config { data_dir: Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap(), ..Config::default() };
        configure(&mut config);
        let auth = Auth::open(&config).unwrap();
        let metrics = Metrics::new();
        let kit = Kit::new(&config.http, auth.clone(), &metrics);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Gate::default());
        let shutdown = CancellationToken::new();
        let router = routes(gate.clone()).merge(Router::from(session::router(auth.clone())));
        let stop = shutdown.clone();
        let server = tokio::spawn(async move { serve("test", listener, router, &kit, stop).await });
        let keys = KeyFile::at(config.keys_file());
        Self { address, client: reqwest::Client::new(), keys, auth, metrics, gate, shutdown, server, folder }
    }

    /// Another server over the same files.
    pub(crate) async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
        Self::in_folder(self.folder, |_| {}).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) fn key(&self, scopes: &[Scope]) -> (String, String) {
        let created = self.keys.create("test", scopes.iter().copied().collect()).unwrap();
        (created.record.id, created.key.reveal().to_owned())
    }
}

/// The problem that a response is, after its form is checked.
pub(crate) async fn problem(response: Response, status: u16, slug: &str) -> Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], format!("https://imagesearch.dev/problems/{slug}"));
    assert_eq!(body["status"], status);
    assert_eq!(body["request_id"], request_id);
    assert!(body["title"].is_string(), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    body
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    #[allow(dead_code)]
    age: u8,
}

fn routes(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/text", get(|| async { "ok" }))
        .route("/long", get(|| async { Json(vec!["text that repeats"; 1000]) }))
        .route("/image", get(|| async { ([("content-type", "image/png")], vec![0_u8; 4096]) }))
        .route("/json", post(|Json(Person { .. }): Json<Person>| async { "ok" }))
        .route("/query", get(|Query(Person { .. }): Query<Person>| async { "ok" }))
        .route("/images/{image_id}", get(|Path(id): Path<ImageId>| async move { id.to_string() }))
        .route("/form", post(read_form).layer(DefaultBodyLimit::max(64 << 10)))
        .route("/bytes", post(count).layer(DefaultBodyLimit::max(64 << 10)))
        .route("/panic", get(panic))
        .route("/internal", get(internal))
        .route("/full", get(|| async { Problem::queue_full("the queue is full", Duration::from_secs(7)) }))
        .route("/range", get(|| async { (StatusCode::RANGE_NOT_SATISFIABLE, [("content-range", "bytes */9")], "no") }))
        .route("/gate", get(wait_at_gate))
        .route("/crowd", get(crowd))
        .route("/stuck", get(std::future::pending::<&'static str>))
        .route("/endless", get(|| async { Body::from_stream(stream::repeat_with(megabyte).map(Ok::<_, Infallible>)) }))
        .route("/quiet", get(|| async { Body::from_stream(quiet()) }))
        .route("/events", get(events))
        .route("/read", get(|| async { "ok" }).route_layer(require(Scope::Read)))
        .route("/write", post(|| async { "ok" }).route_layer(require(Scope::Ingest)))
        .with_state(gate)
}

fn megabyte() -> Bytes {
    Bytes::from(vec![0; 1 << 20])
}

/// One byte, and then nothing for ever.
fn quiet() -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    stream::once(async { Ok(Bytes::from_static(b"x")) }).chain(stream::pending())
}

async fn read_form(Multipart(mut form): Multipart) -> Result<String, Problem> {
    let mut read = 0;
    while let Some(mut field) = form.next_field().await? {
        while let Some(chunk) = field.chunk().await? {
            read += chunk.len();
        }
    }
    Ok(read.to_string())
}

async fn count(request: Request) -> Result<String, Problem> {
    use axum::RequestExt;
    let mut body = request.into_limited_body().into_data_stream();
    let mut read = 0;
    while let Some(chunk) = body.next().await {
        read += chunk.map_err(|fault| Problem::from_body_error(&fault, "cannot read the body"))?.len();
    }
    Ok(read.to_string())
}

async fn panic() -> &'static str {
    panic!("the secret is 1234")
}

async fn internal() -> Problem {
    Problem::internal(&std::io::Error::other("the secret is 1234"))
}

async fn wait_at_gate(State(gate): State<Arc<Gate>>) -> &'static str {
    gate.reached.notify_one();
    gate.open.notified().await;
    "through"
}

/// Stays for long enough that everybody who may come in is there.
async fn crowd(State(gate): State<Arc<Gate>>) -> &'static str {
    let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
    gate.most_inside.fetch_max(inside, Ordering::SeqCst);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.inside.fetch_sub(1, Ordering::SeqCst);
    "ok"
}

async fn events(Extension(ShuttingDown(shutdown)): Extension<ShuttingDown>) -> impl IntoResponse {
    let events = stream::once(async { Ok::<_, Infallible>(Event::default().data("first")) }).chain(stream::pending());
    Sse::new(events.take_until(shutdown.cancelled_owned()))
}
