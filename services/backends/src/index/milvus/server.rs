//! Where tests find their Milvus.

#![allow(clippy::unwrap_used)]

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use shared::{ModelFingerprint, config};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{OnceCell, mpsc, watch},
    task::block_in_place,
};
use uuid::Uuid;

use super::{super::VectorIndex, MilvusIndex};

const START: Duration = Duration::from_mins(2);

/// Waits until a server that was just started answers to these settings.
pub(super) async fn answers(settings: &config::Milvus) {
    let settings = config::Milvus { timeout_ms: 1000, ..settings.clone() };
    let started = Instant::now();
    while let Err(error) = async { MilvusIndex::open(&settings).await?.ready().await }.await {
        assert!(started.elapsed() < START, "Milvus does not answer at {}: {error:?}", settings.url);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Settings for the tests' common server, with a prefix that nobody else has.
pub(super) async fn settings() -> config::Milvus {
    static ANSWERS: OnceCell<()> = OnceCell::const_new();
    let url = servers::shared_milvus().await;
    let common = config::Milvus { url: url.clone(), ..config::Milvus::default() };
    ANSWERS.get_or_init(|| answers(&common)).await;
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

/// Between a client and a server that takes as long for each answer as it is told.
pub(super) struct Slow {
    pub(super) url: String,
    delay: watch::Sender<Duration>,
}

impl Slow {
    pub(super) async fn before(url: &str) -> Self {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (delay, told) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), told.clone()));
            }
        });
        Self { url, delay }
    }

    pub(super) fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

async fn pass(client: TcpStream, server: String, delay: watch::Receiver<Duration>) -> io::Result<()> {
    let (mut questions, answers) = client.into_split();
    let (from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    tokio::try_join!(copy(&mut questions, &mut to_server), later(from_server, answers, &delay)).map(drop)
}

/// Passes everything on as much later as is said when it comes: however many pieces it comes in, it is late once.
async fn later(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: &watch::Receiver<Duration>,
) -> io::Result<()> {
    let (queue, mut due) = mpsc::unbounded_channel();
    let read = async move {
        loop {
            let mut bytes = BytesMut::with_capacity(64 << 10);
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            let _ = queue.send((tokio::time::Instant::now() + *delay.borrow(), bytes));
        }
    };
    let write = async {
        while let Some((time, bytes)) = due.recv().await {
            tokio::time::sleep_until(time).await;
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}
