//! Stores in memory that let another actor go first at every call.

use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use shared::{
    Hit, ImageDocument, ImageId, Job, ModelFingerprint, StoreId, Task, TaskFailure, TaskId, TaskStatus, Version,
    filter::Filter,
};
use uuid::Uuid;

use crate::{
    index::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SearchQuery},
    objects::{
        ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStore, ObjectStream, PutCondition, StagedObject,
        memory::MemoryStore,
    },
    queue::{JobQueue, Lease, Outcome, QueueDepth, QueueError, TaskPage, TaskQuery},
};

/// Ends the poll once, so that the schedule says who goes next.
async fn step(stepping: &AtomicBool) {
    let mut is_first = stepping.load(Ordering::Relaxed);
    poll_fn(|context| {
        if !std::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(super) struct SteppedObjects {
    pub(super) inner: MemoryStore,
    pub(super) stepping: Arc<AtomicBool>,
}

pub(super) struct SteppedStaged {
    pub(super) inner: Box<dyn StagedObject>,
    pub(super) stepping: Arc<AtomicBool>,
}

pub(super) struct SteppedCollection {
    spec: CollectionSpec,
    points: Mutex<BTreeMap<ImageId, Point>>,
    stepping: Arc<AtomicBool>,
}

pub(super) struct SteppedQueue {
    pub(super) jobs: Mutex<VecDeque<Job>>,
    pub(super) stepping: Arc<AtomicBool>,
}

impl SteppedCollection {
    pub(super) fn new(stepping: Arc<AtomicBool>) -> Self {
        let spec = CollectionSpec { model: super::model(), dimension: 1, store: StoreId(Uuid::nil()) };
        Self { spec, points: Mutex::default(), stepping }
    }
}

impl SteppedQueue {
    pub(super) fn pop(&self) -> Option<Job> {
        self.jobs.lock().unwrap().pop_front()
    }
}

#[async_trait]
impl ObjectStore for SteppedObjects {
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError> {
        self.inner.stage().await
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError> {
        step(&self.stepping).await;
        self.inner.put(key, bytes, condition).await
    }

    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        step(&self.stepping).await;
        self.inner.get(key, limit_bytes).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        step(&self.stepping).await;
        self.inner.head(key).await
    }

    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        step(&self.stepping).await;
        self.inner.read(key, range).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        step(&self.stepping).await;
        self.inner.delete(key).await
    }

    // There are no variants here, so a listing has nothing that could change under it.
    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>> {
        self.inner.list(prefix, start_after)
    }

    async fn ready(&self) -> Result<(), ObjectError> {
        self.inner.ready().await
    }
}

#[async_trait]
impl StagedObject for SteppedStaged {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        step(&self.stepping).await;
        self.inner.commit(key).await
    }
}

#[async_trait]
impl Collection for SteppedCollection {
    fn spec(&self) -> &CollectionSpec {
        &self.spec
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        step(&self.stepping).await;
        let points = points.iter().map(|point| (point.document.image_id, point.clone()));
        self.points.lock().unwrap().extend(points);
        Ok(())
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        step(&self.stepping).await;
        let mut points = self.points.lock().unwrap();
        let point = points.get_mut(&document.image_id);
        Ok(point.map(|point| point.document = document.clone()).is_some())
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        step(&self.stepping).await;
        self.points.lock().unwrap().retain(|image_id, _| !image_ids.contains(image_id));
        Ok(())
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        step(&self.stepping).await;
        Ok(self.points.lock().unwrap().get(&image_id).cloned())
    }

    async fn search(&self, _: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        Ok(Vec::new())
    }

    async fn list(&self, _: &ListQuery) -> Result<DocumentPage, IndexError> {
        Ok(DocumentPage::default())
    }

    async fn count(&self, _: Option<&Filter>) -> Result<u64, IndexError> {
        Ok(self.points.lock().unwrap().len() as u64)
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        stream::empty().boxed()
    }
}

/// Takes jobs; nothing here leases one.
#[async_trait]
impl JobQueue for SteppedQueue {
    fn system(&self) -> &'static str {
        "steps"
    }

    async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        step(&self.stepping).await;
        self.jobs.lock().unwrap().extend(jobs.iter().cloned());
        Ok(())
    }

    async fn lease(&self, _: &ModelFingerprint, _: usize, _: Duration, _: Duration) -> Result<Vec<Lease>, QueueError> {
        Ok(Vec::new())
    }

    async fn extend(&self, lease: &Lease, _: Duration) -> Result<(), QueueError> {
        Err(QueueError::LeaseLost(lease.job.task_id))
    }

    async fn finish(&self, lease: &Lease, _: Outcome) -> Result<(), QueueError> {
        Err(QueueError::LeaseLost(lease.job.task_id))
    }

    async fn retry(&self, lease: &Lease, _: Duration, _: TaskFailure) -> Result<(), QueueError> {
        Err(QueueError::LeaseLost(lease.job.task_id))
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), QueueError> {
        Err(QueueError::LeaseLost(lease.job.task_id))
    }

    async fn set_image_id(&self, lease: &Lease, _: ImageId) -> Result<(), QueueError> {
        Err(QueueError::LeaseLost(lease.job.task_id))
    }

    async fn task(&self, _: TaskId) -> Result<Option<Task>, QueueError> {
        Ok(None)
    }

    async fn live_task(&self, _: ImageId, _: &ModelFingerprint) -> Result<Option<Task>, QueueError> {
        Ok(None)
    }

    async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, QueueError> {
        Ok(TaskPage::default())
    }

    async fn counts(&self) -> Result<Vec<(TaskStatus, u64)>, QueueError> {
        Ok(Vec::new())
    }

    fn changes(&self) -> BoxStream<'static, Task> {
        stream::pending().boxed()
    }

    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        Ok(QueueDepth::default())
    }

    async fn clear(&self) -> Result<(), QueueError> {
        self.jobs.lock().unwrap().clear();
        Ok(())
    }

    async fn adopt(&self, _: &ModelFingerprint) -> Result<(), QueueError> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
