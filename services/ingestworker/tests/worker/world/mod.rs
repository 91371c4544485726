//! One deployment in a temporary folder: real stores, the bundled model, the writing side of `ingestapi`, and workers that
//! can be started, stopped and held up.

mod collection;
mod queue;

use std::{convert::Infallible, sync::Arc};

use backends::{Stores, index::Collection, projection::Projection};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, Embedder, EmbedderOptions};
use futures::{StreamExt, stream};
use ingestapi::{
    Ingest, IngestLimits,
    ingest::{Accepted, FileInfo},
    urls::UrlItem,
};
use ingestworker::{Settings, Worker};
use shared::{ImageId, Metadata, Task, TaskId, config::Config};
use tempfile::TempDir;
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) use collection::Tampered;
pub(crate) use queue::Silent;

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) stores: Stores,
    /// What the worker writes to.
    pub(crate) collection: Arc<Tampered>,
    pub(crate) projection: Projection,
    pub(crate) ingest: Ingest,
    embedder: Embedder,
    _folder: TempDir,
}

/// A worker that runs until it is drained.
pub(crate) struct RunningWorker {
    drain: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningWorker {
    pub(crate) async fn drain(self) {
        self.drain.cancel();
        self.task.await.expect("the worker ends well");
    }

    /// Stops it as a kill would: nothing is ended or handed back.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config { data_dir: utf8(folder.path()), ..Config::default() };
        config.ingestworker.retry_min_ms = 10;
        config.ingestworker.retry_max_ms = 50;
        config.ingestworker.fetch.allow_networks = vec!["127.0.0.1".into()];
        change(&mut config);
        let stores = backends::open(&config).await.expect("stores");
        let embedder = embedder().await;
        let opened = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await.expect("a collection");
        let collection = Arc::new(Tampered::new(opened.collection));
        let projection = stores.projection(collection.clone() as Arc<dyn Collection>);
        let ingest = Ingest::new(stores.clone(), projection.clone(), IngestLimits::from(&config));
        Self { config, stores, collection, projection, ingest, embedder, _folder: folder }
    }

    pub(crate) fn worker(&self) -> RunningWorker {
        let worker = Worker::new(
            self.stores.clone(),
            self.collection.clone(),
            self.projection.clone(),
            self.embedder.clone(),
            Settings::from(&self.config),
        );
        let drain = CancellationToken::new();
        let task = tokio::spawn(worker.expect("a worker").run(drain.clone()));
        RunningWorker { drain, task }
    }

    pub(crate) async fn upload(&self, bytes: impl Into<Bytes>) -> (TaskId, ImageId) {
        self.upload_with(bytes, Metadata::default()).await
    }

    pub(crate) async fn upload_with(&self, bytes: impl Into<Bytes>, metadata: Metadata) -> (TaskId, ImageId) {
        let info = FileInfo { name: Some("photo.jpg".into()), metadata };
        match self.send(bytes, info).await {
            Accepted::Queued { task_id, image_id: Some(image_id) } => (task_id, image_id),
            other => panic!("not queued: {other:?}"),
        }
    }

    pub(crate) async fn send(&self, bytes: impl Into<Bytes>, info: FileInfo) -> Accepted {
        let Ok(outcome) = self.ingest.upload(info, stream::iter([Ok::<_, Infallible>(bytes.into())])).await;
        outcome.expect("taken")
    }

    pub(crate) async fn queue_url(&self, url: &str) -> TaskId {
        let item = UrlItem::new(url, Metadata::default()).expect("a URL");
        match self.ingest.queue_urls(vec![item]).await.expect("queued").remove(0) {
            Accepted::Queued { task_id, .. } => task_id,
            duplicate @ Accepted::Duplicate { .. } => panic!("{duplicate:?}"),
        }
    }

    /// Waits until a task is over.
    pub(crate) async fn ended(&self, task_id: TaskId) -> Task {
        self.reaches(task_id, |task| !task.status.is_alive()).await
    }

    /// Waits until a task is as described.
    pub(crate) async fn reaches(&self, task_id: TaskId, is_so: impl Fn(&Task) -> bool) -> Task {
        let mut changes = self.stores.queue.changes();
        loop {
            let task = self.stores.queue.task(task_id).await.expect("the queue").expect("a task");
            if is_so(&task) {
                return task;
            }
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), changes.next()).await;
        }
    }

    pub(crate) async fn is_indexed(&self, image_id: ImageId) -> bool {
        self.collection.get(image_id).await.expect("the index").is_some()
    }
}

/// Loaded once for all tests of a binary.
async fn embedder() -> Embedder {
    static EMBEDDER: OnceCell<Embedder> = OnceCell::const_new();
    let load = || async {
        let bundle = Bundle::open(&repository().join("models/bundled")).expect("the bundled model");
        Embedder::load(bundle, EmbedderOptions::default()).await.expect("a model")
    };
    EMBEDDER.get_or_init(load).await.clone()
}

/// One of the repository's photos.
pub(crate) fn photo(name: &str) -> Bytes {
    std::fs::read(repository().join("tests/fixtures/photos").join(name)).expect("a photo").into()
}

fn repository() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn utf8(path: &std::path::Path) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(path.to_owned()).expect("a UTF-8 path")
}
