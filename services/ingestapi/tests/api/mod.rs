//! A served `ingestapi` over real stores in a temporary folder. There is no worker: tasks stay queued.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{net::SocketAddr, sync::Arc};

use backends::{Stores, index::Collection};
use bytes::Bytes;
use camino::Utf8PathBuf;
use ingestapi::{Ingest, IngestLimits, IngestState, ModelControl, Sample, Samples, router};
use reqwest::{Response, multipart::Part};
use serde_json::Value;
use shared::{
    Metadata, ModelFingerprint,
    config::{Config, Queue},
    http::{Auth, Kit, serve, with_docs},
    model::{KnownModel, ModelChoice, ModelStatus},
    telemetry::Metrics,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) stores: Stores,
    pub(crate) collection: Arc<dyn Collection>,
    pub(crate) shutdown: CancellationToken,
    folder: Arc<TempDir>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(100 << 20, 1000, Auth::off()).await
    }

    pub(crate) async fn with(max_image_bytes: u64, max_jobs: u64, auth: Arc<Auth>) -> Self {
        Self::configured(auth, |config| {
            config.ingestapi.max_image_bytes = max_image_bytes;
            config.queue = Queue::Sqlite { path: None, max_jobs, keep_tasks: 1000 };
        })
        .await
    }

    pub(crate) async fn configured(auth: Arc<Auth>, change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let data_dir = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("a UTF-8 path");
        let mut config = Config { data_dir, ..Config::default() };
        config.ingestapi.max_items = 1000;
        change(&mut config);
        let stores = backends::open(&config).await.expect("stores");
        let model = ModelFingerprint("0123456789abcdef".into());
        let collection = stores.open_collection(&model, 4).await.expect("a collection").collection;
        let projection = stores.projection(&collection);
        let ingest = Ingest::new(stores.clone(), projection, IngestLimits::from(&config));
        let current = KnownModel {
            choice: ModelChoice { source: "bundled".into(), sha256: None },
            fingerprint: model,
            dimension: 4,
        };
        let models = ModelControl::configured(watch::channel(ModelStatus { current, change: None, previous: None }).1);
        let state = IngestState::new(ingest, 1 << 30, Some(samples()), models);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let (kit, stop) = (Kit::new(&config.http, auth, &Metrics::new()), shutdown.clone());
        let router = with_docs("ingestapi", "all writes", router(state));
        let served_from = folder.clone();
        tokio::spawn(async move {
            // Outlives the index, which writes once more when it is closed.
            let _folder = served_from;
            serve("ingestapi", listener, router, &kit, stop).await
        });
        Self { address, client: reqwest::Client::new(), stores, collection, shutdown, folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path)).send().await.expect("an answer")).await
    }

    pub(crate) async fn post_form(&self, form: reqwest::multipart::Form) -> (u16, Value) {
        answer(self.client.post(self.url("/api/v1/ingest")).multipart(form).send().await.expect("an answer")).await
    }

    pub(crate) async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.client.post(self.url("/api/v1/ingest")).header("content-type", content_type).body(body);
        answer(request.send().await.expect("an answer")).await
    }

    /// Uploads one image; gives its entry.
    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> Value {
        let (status, body) =
            self.post_form(reqwest::multipart::Form::new().part("file", file("photo.png", bytes))).await;
        assert_eq!(status, 202, "{body}");
        body["tasks"][0].clone()
    }

    /// Files below the object store's folder, except the store's own identity.
    pub(crate) fn stored_files(&self) -> Vec<String> {
        let mut folders = vec![self.folder.path().join("objects")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("store.json") && !path.ends_with(".imagesearch.lock") {
                    files.push(path.display().to_string());
                }
            }
        }
        files
    }
}

pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

pub(crate) fn file(name: &str, bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).file_name(name.to_owned())
}

/// Something that passes for a PNG until it is decoded; `number` makes it one of its own.
pub(crate) fn png(number: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0".as_slice(), &number.to_be_bytes()].concat()
}

fn samples() -> Samples {
    Arc::new(|| {
        let sample = |number: u32| Sample {
            name: format!("sample {number}.png"),
            bytes: Bytes::from(png(1_000_000 + number)),
            metadata: Metadata::default(),
        };
        vec![sample(1), sample(2)]
    })
}
