//! The index: <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use shared::{
    Hit, ImageDocument, ImageId, ModelFingerprint, Version,
    filter::Filter,
    metrics::backend::{self, Backend, Operation},
    telemetry::{TRACE, is_traced},
};
use tracing::{Span, field::Empty};

use super::kind;
use crate::index::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SearchQuery, VectorIndex};

pub(crate) struct ObservedIndex<I> {
    index: I,
    system: System,
}

/// What the index is, as the convention calls it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) is_remote: bool,
}

impl<I: VectorIndex> ObservedIndex<I> {
    pub(crate) fn milvus(index: I) -> Self {
        Self { index, system: System { name: "milvus", is_remote: true } }
    }

    pub(crate) fn qdrant_edge(index: I) -> Self {
        Self { index, system: System { name: "qdrant", is_remote: false } }
    }
}

async fn observe<T>(
    operation: Operation,
    span: Span,
    call: impl Future<Output = Result<T, IndexError>>,
) -> Result<T, IndexError> {
    super::observe(Backend::Index, operation, span, call).await
}

#[async_trait]
impl<I: VectorIndex> VectorIndex for ObservedIndex<I> {
    async fn open(&self, spec: &CollectionSpec) -> Result<Arc<dyn Collection>, IndexError> {
        let collection = observe(Operation::Open, Span::none(), self.index.open(spec)).await?;
        Ok(Arc::new(ObservedCollection { collection, system: self.system }))
    }

    async fn collections(&self) -> Result<Vec<ModelFingerprint>, IndexError> {
        observe(Operation::Collections, Span::none(), self.index.collections()).await
    }

    async fn remove(&self, model: &ModelFingerprint) -> Result<bool, IndexError> {
        observe(Operation::Remove, Span::none(), self.index.remove(model)).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        observe(Operation::Ready, Span::none(), self.index.ready()).await
    }
}

struct ObservedCollection {
    collection: Arc<dyn Collection>,
    system: System,
}

impl ObservedCollection {
    /// `size`: how many points, when it can be more than one.
    fn span(&self, operation: &'static str, size: Option<usize>) -> Span {
        if !is_traced() {
            return Span::none();
        }
        let collection = &self.collection.spec().model.0;
        tracing::info_span!(
            target: TRACE,
            "index",
            otel.name = format!("{operation} {collection}"),
            otel.kind = kind(self.system.is_remote),
            otel.status_code = Empty,
            "error.type" = Empty,
            db.system.name = self.system.name,
            db.operation.name = operation,
            db.collection.name = collection,
            db.operation.batch.size = size.filter(|size| *size > 1).map(|size| size as i64),
            db.response.returned_rows = Empty,
        )
    }
}

#[async_trait]
impl Collection for ObservedCollection {
    fn spec(&self) -> &CollectionSpec {
        self.collection.spec()
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        observe(Operation::Upsert, self.span("upsert", Some(points.len())), self.collection.upsert(points)).await
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        observe(Operation::SetDocument, self.span("set_document", None), self.collection.set_document(document)).await
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        observe(Operation::Delete, self.span("delete", Some(image_ids.len())), self.collection.delete(image_ids)).await
    }

    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        let span = self.span("search", None);
        let hits = observe(Operation::Search, span.clone(), self.collection.search(query)).await?;
        span.record("db.response.returned_rows", hits.len() as i64);
        Ok(hits)
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        observe(Operation::Get, self.span("get", None), self.collection.get(image_id)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError> {
        let span = self.span("list", None);
        let page = observe(Operation::List, span.clone(), self.collection.list(query)).await?;
        span.record("db.response.returned_rows", page.documents.len() as i64);
        Ok(page)
    }

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError> {
        observe(Operation::Count, self.span("count", None), self.collection.count(filter)).await
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        backend::stream(Backend::Index, Operation::Scan, self.collection.scan()).boxed()
    }
}
