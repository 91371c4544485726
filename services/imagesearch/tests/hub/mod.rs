//! A model hub with one model, for programs that fetch it: a listing, and the files of one commit.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::task::JoinHandle;

/// What a configuration calls the model.
pub(crate) const SOURCE: &str = "hf://org/model@main";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) struct Hub {
    pub(crate) url: String,
    requests: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Served {
    folder: PathBuf,
    requests: Arc<AtomicUsize>,
}

impl Hub {
    /// Serves the model in a folder, until it is dropped.
    pub(crate) async fn start(folder: &Path) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let served = Served { folder: folder.to_owned(), requests: requests.clone() };
        let router = Router::new()
            .route("/api/models/org/model/revision/main", get(list))
            .route(&format!("/org/model/resolve/{COMMIT}/{{*file}}"), get(file))
            .with_state(served);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests, server }
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn list(State(served): State<Served>) -> Response {
    served.requests.fetch_add(1, Ordering::SeqCst);
    let files = walkdir::WalkDir::new(&served.folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let names = files.map(|entry| entry.path().strip_prefix(&served.folder).unwrap().to_str().unwrap().to_owned());
    let siblings: Vec<_> = names.map(|name| json!({"rfilename": name})).collect();
    axum::Json(json!({"sha": COMMIT, "siblings": siblings})).into_response()
}

async fn file(State(served): State<Served>, UrlPath(name): UrlPath<String>) -> Response {
    served.requests.fetch_add(1, Ordering::SeqCst);
    match std::fs::read(served.folder.join(name)) {
        Ok(bytes) => bytes.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
