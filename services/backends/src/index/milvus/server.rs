//! Where tests find their Milvus.

#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{ModelFingerprint, config};
use tokio::{runtime::Handle, sync::OnceCell, task::block_in_place};
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
