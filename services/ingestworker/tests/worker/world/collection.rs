//! A real collection whose writes can be held up or made to fail: faults that an index in this process never has by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use backends::index::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SearchQuery};
use futures::stream::BoxStream;
use shared::{Hit, ImageDocument, ImageId, Version, filter::Filter};
use tokio::sync::{Semaphore, watch};

pub(crate) struct Tampered {
    inner: Arc<dyn Collection>,
    failures: AtomicUsize,
    gate: Semaphore,
    waiting: watch::Sender<usize>,
    upserts: AtomicUsize,
}

impl Tampered {
    pub(crate) fn new(inner: Arc<dyn Collection>) -> Self {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Self {
            inner,
            failures: AtomicUsize::new(0),
            gate,
            waiting: watch::Sender::new(0),
            upserts: AtomicUsize::new(0),
        }
    }

    /// The next writes fail as if the index were away.
    pub(crate) fn fail(&self, writes: usize) {
        self.failures.store(writes, Ordering::SeqCst);
    }

    /// Writes wait from now on.
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Writes go on.
    pub(crate) fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Returns when a write waits.
    pub(crate) async fn reached(&self) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }

    /// Points written so far.
    pub(crate) fn upserts(&self) -> usize {
        self.upserts.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Collection for Tampered {
    fn spec(&self) -> &CollectionSpec {
        self.inner.spec()
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let passed = self.gate.acquire().await;
        self.waiting.send_modify(|waiting| *waiting -= 1);
        drop(passed);
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails {
            return Err(IndexError::Unavailable { context: "held back by the test".into(), source: "away".into() });
        }
        self.upserts.fetch_add(points.len(), Ordering::SeqCst);
        self.inner.upsert(points).await
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        self.inner.set_document(document).await
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        self.inner.delete(image_ids).await
    }

    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        self.inner.search(query).await
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        self.inner.get(image_id).await
    }

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError> {
        self.inner.list(query).await
    }

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.inner.count(filter).await
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        self.inner.scan()
    }
}
