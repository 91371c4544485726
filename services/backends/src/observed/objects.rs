//! Objects: <https://opentelemetry.io/docs/specs/semconv/object-stores/s3/>.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use shared::{
    metrics::backend::{self, Backend, Operation},
    telemetry::{TRACE, is_traced},
};
use tracing::{Span, field::Empty};

use super::kind;
use crate::objects::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject};

pub(crate) struct ObservedObjects<S> {
    store: S,
    /// Of a store elsewhere; `None` for a folder.
    bucket: Option<String>,
}

impl<S: ObjectStore> ObservedObjects<S> {
    pub(crate) fn new(store: S, bucket: Option<String>) -> Self {
        Self { store, bucket }
    }

    fn span(&self, operation: &'static str, key: Option<&ObjectKey>) -> Span {
        span(self.bucket.as_deref(), operation, key)
    }
}

/// `operation` as S3 calls it.
fn span(bucket: Option<&str>, operation: &'static str, key: Option<&ObjectKey>) -> Span {
    if !is_traced() {
        return Span::none();
    }
    let is_remote = bucket.is_some();
    tracing::info_span!(
        target: TRACE,
        "objects",
        otel.name = if is_remote { format!("S3/{operation}") } else { format!("folder/{operation}") },
        otel.kind = kind(is_remote),
        otel.status_code = Empty,
        "error.type" = Empty,
        rpc.system = is_remote.then_some("aws-api"),
        rpc.service = is_remote.then_some("S3"),
        rpc.method = is_remote.then_some(operation),
        aws.s3.bucket = bucket,
        aws.s3.key = key.filter(|_| is_remote).map(ObjectKey::as_str),
        imagesearch.object_key = key.filter(|_| !is_remote).map(ObjectKey::as_str),
    )
}

async fn observe<T>(
    operation: Operation,
    span: Span,
    call: impl Future<Output = Result<T, ObjectError>>,
) -> Result<T, ObjectError> {
    super::observe(Backend::Objects, operation, span, call).await
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for ObservedObjects<S> {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        let staged = observe(Operation::Stage, Span::none(), self.store.stage()).await?;
        Ok(Box::new(ObservedStaged { staged, bucket: self.bucket.clone() }))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        observe(Operation::Put, self.span("PutObject", Some(key)), self.store.put(key, bytes, condition)).await
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        observe(Operation::Get, self.span("GetObject", Some(key)), self.store.get(key, limit_bytes)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        observe(Operation::Head, self.span("HeadObject", Some(key)), self.store.head(key)).await
    }

    /// Up to the first byte.
    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        observe(Operation::Read, self.span("GetObject", Some(key)), self.store.read(key, range)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        observe(Operation::Delete, self.span("DeleteObject", Some(key)), self.store.delete(key)).await
    }

    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        backend::stream(Backend::Objects, Operation::List, self.store.list(prefix, start_after)).boxed()
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        observe(Operation::Ready, Span::none(), self.store.ready()).await
    }
}

struct ObservedStaged {
    staged: Box<dyn StagedObject>,
    bucket: Option<String>,
}

#[async_trait]
impl StagedObject for ObservedStaged {
    /// At the pace of whoever sends the bytes, which says nothing of the store.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        observe(Operation::Write, Span::none(), self.staged.write(bytes)).await
    }

    async fn commit(self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        let span = span(self.bucket.as_deref(), "PutObject", Some(key));
        observe(Operation::Commit, span, self.staged.commit(key)).await
    }
}
