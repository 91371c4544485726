//! The port's collection: checks what comes in, and runs the shard off the async threads, a bounded number at once.

use std::{sync::Arc, thread::available_parallelism};

use async_trait::async_trait;
use futures::stream::BoxStream;
use qdrant_edge::{CountRequest, DEFAULT_VECTOR_NAME, EdgeShard, Record, VectorInternal, VectorStructInternal};
use shared::{Hit, ImageDocument, ImageId, Version, filter::Filter};
use tokio::sync::Semaphore;

use super::{
    super::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SEARCH_WINDOW, SearchQuery},
    blocking,
    journal::Change,
    listing::{self, Cursor},
    payload::{point_id, to_document},
    searching,
    store::Store,
    translate::to_edge,
    unavailable,
};

/// How far a vector's length may be from 1.
const UNIT_TOLERANCE: f64 = 1e-3;

/// Points that a scan holds at once.
const SCAN_PAGE: usize = 1000;

/// The longest page of a list.
const LONGEST_PAGE: usize = 1000;

#[derive(Clone)]
pub(super) struct EdgeCollection {
    store: Arc<Store>,
    /// Searches wait for a processor rather than sharing it with a hundred others.
    reads: Arc<Semaphore>,
    /// Changes follow each other anyway; waiting here costs no thread.
    writes: Arc<Semaphore>,
}

impl EdgeCollection {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let reads = available_parallelism().map_or(2, |count| count.get() * 2);
        Self { store, reads: Arc::new(Semaphore::new(reads)), writes: Arc::new(Semaphore::new(1)) }
    }

    /// Ends it for everybody who still holds it.
    pub(super) fn close(&self) {
        self.store.close();
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EdgeShard) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let store = Arc::clone(&self.store);
        blocking(move || {
            // Kept until the work is done, also when nobody waits for it any more.
            let _permit = permit;
            store.with(work)
        })
        .await
    }

    async fn write(&self, change: Change) -> Result<bool, IndexError> {
        let permit = Arc::clone(&self.writes).acquire_owned().await;
        let store = Arc::clone(&self.store);
        blocking(move || {
            let _permit = permit;
            store.change(&change)
        })
        .await
    }

    fn is_usable(&self, vector: &[f32]) -> bool {
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        // Written so that it is also false when the length isn't a number.
        vector.len() == self.store.spec.dimension && (length - 1.0).abs() <= UNIT_TOLERANCE
    }
}

#[async_trait]
impl Collection for EdgeCollection {
    fn spec(&self) -> &CollectionSpec {
        &self.store.spec
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        if let Some(unusable) = points.iter().find(|point| !self.is_usable(&point.vector)) {
            return Err(IndexError::UnusableVector(unusable.document.image_id));
        }
        if points.is_empty() {
            return Ok(());
        }
        let points = points.iter().map(|point| (point.document.clone(), point.vector.clone())).collect();
        self.write(Change::Upsert(points)).await.map(drop)
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        self.write(Change::SetDocument(Box::new(document.clone()))).await
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        if image_ids.is_empty() {
            return Ok(());
        }
        self.write(Change::Delete(image_ids.to_vec())).await.map(drop)
    }

    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        let (offset, limit) = (query.offset, query.limit);
        if offset.checked_add(limit).is_none_or(|end| end > SEARCH_WINDOW) {
            return Err(IndexError::Window { offset, limit });
        }
        if !self.is_usable(query.vector) {
            let context = format!("a search wants a unit vector of {} dimensions", self.store.spec.dimension);
            return Err(unavailable(context, "embed the query with the collection's model"));
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (vector, filter, min_score) = (query.vector.to_vec(), query.filter.map(to_edge), query.min_score);
        let request = searching::Request { vector, filter, limit, offset, min_score };
        self.read(move |shard| searching::search(shard, &request)).await
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        self.read(move |shard| {
            let found = shard.retrieve(&[point_id(image_id)], Some(true.into()), Some(true.into()));
            let found = found.map_err(|source| unavailable("cannot read the index", source))?;
            let point = found.into_iter().next().map(to_point).transpose()?;
            Ok(point.filter(|point| point.document.image_id == image_id))
        })
        .await
    }

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError> {
        let (order, limit) = (query.order, query.limit.clamp(1, LONGEST_PAGE));
        let cursor = query.cursor.as_deref().map(|text| Cursor::parse(text, order)).transpose()?;
        let filter = query.filter.as_ref().map(to_edge);
        self.read(move |shard| listing::list(shard, filter.as_ref(), order, cursor, limit)).await
    }

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError> {
        let request = CountRequest { filter: filter.map(to_edge), exact: true };
        self.read(move |shard| {
            let count = shard.count(request).map_err(|source| unavailable("cannot count the index", source))?;
            Ok(count as u64)
        })
        .await
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        let collection = self.clone();
        Box::pin(async_stream::try_stream! {
            let mut first = None;
            loop {
                let (documents, next) = collection.read(move |shard| listing::scan(shard, first, SCAN_PAGE)).await?;
                for document in documents {
                    yield (document.image_id, document.version);
                }
                let Some(next) = next else { break };
                first = Some(next);
            }
        })
    }
}

fn to_point(record: Record) -> Result<Point, IndexError> {
    let document = to_document(record.payload.as_ref())?;
    let vector = match record.vector {
        Some(VectorStructInternal::Single(vector)) => Some(vector),
        Some(VectorStructInternal::Named(mut named)) => match named.remove(DEFAULT_VECTOR_NAME) {
            Some(VectorInternal::Dense(vector)) => Some(vector),
            _ => None,
        },
        _ => None,
    };
    let missing = || unavailable(format!("image {} has no vector", document.image_id), "index it again");
    Ok(Point { vector: vector.ok_or_else(missing)?, document })
}
