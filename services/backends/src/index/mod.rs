//! Vectors and the documents beside them, found by similarity and by filter. One collection a model fingerprint.

#[cfg(test)]
mod conformance;
mod milvus;
mod qdrant_edge;
mod terms;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use shared::{Hit, ImageDocument, ImageId, ModelFingerprint, StoreId, Version, filter::Filter};

pub use self::{milvus::MilvusIndex, qdrant_edge::QdrantEdgeIndex};

/// Offset plus limit of a search can't pass this: Milvus's own bound, kept by every adapter.
pub const SEARCH_WINDOW: usize = 16_384;

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The collection was made for another object store, or its identity or its files are damaged: rebuild it.
    #[error("collection {collection} belongs to another store or is damaged; rebuild it with `imagesearch reindex`")]
    ForeignStore { collection: String },
    #[error("the vector of image {0} is not a finite unit vector of the collection's dimension")]
    UnusableVector(ImageId),
    #[error("offset {offset} and limit {limit} pass the search window of {SEARCH_WINDOW}")]
    Window { offset: usize, limit: usize },
    #[error("the cursor is not one of this list")]
    Cursor,
    /// Worth another try: the store is away, slow or refusing for now.
    #[error("index is not available: {context}")]
    Unavailable {
        context: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionSpec {
    pub model: ModelFingerprint,
    pub dimension: usize,
    pub store: StoreId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Unit length, the collection's dimension.
    pub vector: Vec<f32>,
    pub document: ImageDocument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By `created`, newest first.
    #[default]
    Newest,
    Oldest,
}

#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub filter: Option<Filter>,
    pub order: Order,
    pub cursor: Option<String>,
    /// 1 to 1000.
    pub limit: usize,
}

#[derive(Debug, Clone, Default)]
pub struct DocumentPage {
    pub documents: Vec<ImageDocument>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SearchQuery<'a> {
    /// Unit length.
    pub vector: &'a [f32],
    pub filter: Option<&'a Filter>,
    pub limit: usize,
    pub offset: usize,
    pub min_score: Option<f32>,
}

#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// Opens the collection of a model, made when absent.
    ///
    /// # Errors
    /// `ForeignStore` when it exists and carries another store's identity.
    async fn open(&self, spec: &CollectionSpec) -> Result<Arc<dyn Collection>, IndexError>;

    /// The models that have a collection.
    async fn collections(&self) -> Result<Vec<ModelFingerprint>, IndexError>;

    /// Removes a collection and everything in it; false when there was none.
    async fn remove(&self, model: &ModelFingerprint) -> Result<bool, IndexError>;

    async fn ready(&self) -> Result<(), IndexError>;
}

#[async_trait]
pub trait Collection: Send + Sync {
    fn spec(&self) -> &CollectionSpec;

    /// Writes points, one an image id, replacing what was there. Once this returns they survive a loss of power and a
    /// search that starts finds them.
    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError>;

    /// Replaces the document beside a vector that is there; false when none is.
    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError>;

    /// Removes images; ids that are not there are no error.
    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError>;

    /// Best first; equal scores in the order of their ids.
    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError>;

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError>;

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError>;

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError>;

    /// Every image id with the version it was indexed at, in no order; bounded in memory.
    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>>;
}
