//! The index and its collections, measured.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use shared::{
    Hit, ImageDocument, ImageId, ModelFingerprint, Version,
    filter::Filter,
    metrics::backend::{self, Backend, Operation},
};

use super::Measured;
use crate::index::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SearchQuery, VectorIndex};

async fn measure<T>(
    operation: Operation,
    answer: impl Future<Output = Result<T, IndexError>>,
) -> Result<T, IndexError> {
    backend::call(Backend::Index, operation, answer).await
}

#[async_trait]
impl<I: VectorIndex> VectorIndex for Measured<I> {
    async fn open(&self, spec: &CollectionSpec) -> Result<Arc<dyn Collection>, IndexError> {
        let collection = measure(Operation::Open, self.0.open(spec)).await?;
        Ok(Arc::new(MeasuredCollection(collection)))
    }

    async fn collections(&self) -> Result<Vec<ModelFingerprint>, IndexError> {
        measure(Operation::Collections, self.0.collections()).await
    }

    async fn remove(&self, model: &ModelFingerprint) -> Result<bool, IndexError> {
        measure(Operation::Remove, self.0.remove(model)).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        measure(Operation::Ready, self.0.ready()).await
    }
}

struct MeasuredCollection(Arc<dyn Collection>);

#[async_trait]
impl Collection for MeasuredCollection {
    fn spec(&self) -> &CollectionSpec {
        self.0.spec()
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        measure(Operation::Upsert, self.0.upsert(points)).await
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        measure(Operation::SetDocument, self.0.set_document(document)).await
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        measure(Operation::Delete, self.0.delete(image_ids)).await
    }

    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        measure(Operation::Search, self.0.search(query)).await
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        measure(Operation::Get, self.0.get(image_id)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError> {
        measure(Operation::List, self.0.list(query)).await
    }

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError> {
        measure(Operation::Count, self.0.count(filter)).await
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        backend::stream(Backend::Index, Operation::Scan, self.0.scan()).boxed()
    }
}
