//! The object store, measured.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use shared::metrics::backend::{self, Backend, Fault, Operation};

use super::Measured;
use crate::objects::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};

async fn measure<T, E: Fault>(operation: Operation, answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    backend::call(Backend::Objects, operation, answer).await
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Measured<S> {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        let staged = measure(Operation::Stage, self.0.stage()).await?;
        Ok(Box::new(MeasuredObject(staged)))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        measure(Operation::Put, self.0.put(key, bytes, condition)).await
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        measure(Operation::Get, self.0.get(key, limit_bytes)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        measure(Operation::Head, self.0.head(key)).await
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        measure(Operation::Read, self.0.read(key, range)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        measure(Operation::Delete, self.0.delete(key)).await
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        backend::stream(Backend::Objects, Operation::List, self.0.list(prefix, start_after)).boxed()
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        measure(Operation::Ready, self.0.ready()).await
    }
}

struct MeasuredObject(Box<dyn StagedObject>);

#[async_trait]
impl StagedObject for MeasuredObject {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        measure(Operation::Write, self.0.write(bytes)).await
    }

    async fn commit(self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        measure(Operation::Commit, self.0.commit(key)).await
    }
}
