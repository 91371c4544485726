//! A real Milvus for tests: the one at `IMAGESEARCH_TEST_MILVUS_URL`, or one of their own (`scripts/start-milvus`).

#![allow(clippy::unwrap_used)]

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{ModelFingerprint, config};
use tokio::{runtime::Handle, sync::OnceCell, task::block_in_place};
use uuid::Uuid;

use super::{super::VectorIndex, MilvusIndex};

const START: Duration = Duration::from_mins(2);
/// The ports that a server takes.
const PORTS: u16 = 12;

/// Starts the server and kills it once its standard input ends, which it also does when the test process is killed.
const KEEPER: &str = r#""$1" "$2" "$3" & server=$!; cat; kill -KILL $server; wait; [ "$4" = keep ] || rm -rf "$2""#;

/// A server; it is killed when this is dropped, or when the process ends.
pub(super) struct Server {
    keeper: Child,
    port: u16,
    environment: Vec<(String, String)>,
}

impl Server {
    /// Starts one on `folder`, on a free port, with these settings of `scripts/start-milvus`.
    pub(super) fn start(folder: &Path, keep: bool, environment: Vec<(String, String)>) -> Self {
        Self::start_at(folder, keep, free_port(), environment)
    }

    fn start_at(folder: &Path, keep: bool, port: u16, environment: Vec<(String, String)>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/start-milvus");
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", script, folder.to_str().unwrap(), &port.to_string()])
            .arg(if keep { "keep" } else { "remove" })
            .envs(environment.clone())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { keeper, port, environment }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it at once, as a machine that loses its power does.
    pub(super) fn kill(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }

    /// Starts it again on what it left.
    pub(super) fn restart(&mut self, folder: &Path) {
        *self = Self::start_at(folder, true, self.port, std::mem::take(&mut self.environment));
    }

    pub(super) async fn answers(self) -> Self {
        let settings = config::Milvus { url: self.url(), ..config::Milvus::default() };
        answers(&settings).await;
        self
    }
}

/// Waits until a server that was just started answers to these settings.
pub(super) async fn answers(settings: &config::Milvus) {
    let settings = config::Milvus { timeout_ms: 1000, ..settings.clone() };
    let started = Instant::now();
    while let Err(error) = async { MilvusIndex::open(&settings).await?.ready().await }.await {
        assert!(started.elapsed() < START, "Milvus does not answer at {}: {error:?}", settings.url);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    loop {
        // Below the ports that the system gives to clients.
        let port = 20_000 + (Uuid::new_v4().as_u128() % 800) as u16 * PORTS;
        if (port..port + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

/// Settings for the tests' common server, with a prefix that nobody else has.
pub(super) async fn settings() -> config::Milvus {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let url = if let Ok(url) = std::env::var("IMAGESEARCH_TEST_MILVUS_URL") {
        url
    } else {
        let start = async || {
            // Removed by the keeper: nothing is dropped when a test process ends.
            let folder = tempfile::tempdir().unwrap().keep();
            Server::start(&folder, false, Vec::new()).answers().await
        };
        SERVER.get_or_init(start).await.url()
    };
    let collection_prefix = format!("test_{}", Uuid::new_v4().simple());
    config::Milvus { url, collection_prefix, timeout_ms: 30_000, ..config::Milvus::default() }
}

/// An index with no collections; those that are made are removed in the end.
pub(super) struct Fresh {
    pub(super) index: Arc<MilvusIndex>,
    pub(super) settings: config::Milvus,
}

impl Fresh {
    pub(super) async fn open() -> Self {
        let settings = settings().await;
        Self { index: Arc::new(MilvusIndex::open(&settings).await.unwrap()), settings }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let removed = async {
            let models: Vec<ModelFingerprint> = self.index.collections().await?;
            for model in models {
                self.index.remove(&model).await?;
            }
            Ok::<_, super::IndexError>(())
        };
        // What a test that failed leaves behind is no reason to hide why it failed.
        let _ = block_in_place(|| Handle::current().block_on(removed));
    }
}
