//! Taking in uploads, URLs, changes and deletes. Knows nothing of HTTP.

use backends::{
    Stores,
    error::StoreError,
    intake::{Intake, IntakeError, Received, Standing, clean_name, standing},
    metadata::MetadataError,
    projection::{Projection, job_for},
    queue::{QueueError, TaskPage, TaskQuery},
    records::RecordError,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use shared::{
    ImageDocument, ImageId, ImageRecord, Job, JobSource, Metadata, Task, TaskId, TaskStatus,
    config::Config,
    metrics::ingest::{self as metrics, Reception, Source},
    telemetry::carried,
};

use crate::urls::{InvalidItem, UrlItem};

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Item(#[from] InvalidItem),
    #[error("the list has more than {limit} items; send the rest in another request")]
    TooManyItems { limit: usize },
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("there is nothing to ingest in the request")]
    NoItems,
    #[error("this server has no sample images")]
    NoSamples,
    #[error("there is no task {0}; tasks are kept for a while after they end")]
    NoTask(TaskId),
    #[error("every process of this deployment takes its model from its configuration (model.source); change it there")]
    ModelIsConfigured,
    #[error("the process is ending; try again")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a step of the ingest broke off")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// What became of one image that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Stored and queued: it will be indexed, whatever dies meanwhile.
    Queued { task_id: TaskId, image_id: Option<ImageId> },
    /// The same bytes are indexed, or being indexed by the task that is named.
    Duplicate { task_id: Option<TaskId>, image_id: ImageId },
}

/// What a client says of a file beside its bytes.
#[derive(Debug, Clone, Default)]
pub struct FileInfo {
    pub name: Option<String>,
    pub metadata: Metadata,
}

#[derive(Debug, Clone)]
pub struct IngestLimits {
    pub max_image_bytes: u64,
    /// URLs or bulk lines in one request.
    pub max_items: usize,
    /// Jobs that the queue holds at most.
    pub max_jobs: u64,
}

impl From<&Config> for IngestLimits {
    fn from(config: &Config) -> Self {
        Self {
            max_image_bytes: config.ingestapi.max_image_bytes,
            max_items: config.ingestapi.max_items,
            max_jobs: config.queue.max_jobs(),
        }
    }
}

/// All writes of one deployment.
#[derive(Clone)]
pub struct Ingest {
    stores: Stores,
    projection: Projection,
    limits: IngestLimits,
}

impl Ingest {
    /// The workers of the models whose collections `projection` keeps in line index what is taken here.
    pub fn new(stores: Stores, projection: Projection, limits: IngestLimits) -> Self {
        Self { stores, projection, limits }
    }

    pub fn limits(&self) -> &IngestLimits {
        &self.limits
    }

    /// Refuses while the queue is full: asked before a body is read, so that nobody sends one in vain.
    pub async fn check_room(&self) -> Result<(), IngestError> {
        let depth = self.stores.queue.depth().await.map_err(store)?;
        let limit = self.limits.max_jobs;
        if depth.queued + depth.in_flight >= limit { Err(store(QueueError::Full { limit })) } else { Ok(()) }
    }

    /// Takes one image in from a stream, never holding more than a piece of it.
    ///
    /// # Errors
    /// The outer error is the body's own, and nothing is left behind then; the inner one says why this image is refused,
    /// and the rest of the body may be unread.
    pub async fn upload<E>(
        &self,
        info: FileInfo,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Result<Accepted, IngestError>, E> {
        let accepted = self.receive(info, body).await?;
        metrics::received(Source::Upload, reception(&accepted), 1);
        Ok(accepted)
    }

    async fn receive<E>(
        &self,
        info: FileInfo,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Result<Accepted, IngestError>, E> {
        let mut intake = match Intake::begin(self.stores.objects.as_ref(), self.limits.max_image_bytes).await {
            Ok(intake) => intake,
            Err(error) => return Ok(Err(store(error))),
        };
        while let Some(bytes) = body.next().await.transpose()? {
            if let Err(error) = intake.write(bytes).await {
                return Ok(Err(error.into()));
            }
        }
        Ok(match intake.finish() {
            Ok(received) => self.accept_whole(info, received).await,
            Err(error) => Err(error.into()),
        })
    }

    /// A client that hangs up now must not stop the image half way between store and queue.
    async fn accept_whole(&self, info: FileInfo, received: Received) -> Result<Accepted, IngestError> {
        let ingest = self.clone();
        tokio::spawn(carried(async move { ingest.accept(info, received).await })).await?
    }

    async fn accept(&self, info: FileInfo, received: Received) -> Result<Accepted, IngestError> {
        let image_id = received.image_id;
        let Stores { records, queue, .. } = &self.stores;
        let searched = self.projection.active().searched();
        let seen = match standing(records, queue.as_ref(), searched.as_ref(), image_id).await? {
            Standing::Duplicate { task_id } => return Ok(Accepted::Duplicate { task_id, image_id }),
            Standing::Wanted(seen) => seen.map(|seen| *seen),
        };
        let name = info.name.as_deref().and_then(clean_name);
        let (upload, staged) = received.into_upload(name, info.metadata);
        let record = records.accept_upload(&upload, staged, seen).await.map_err(store)?;
        let jobs = self.jobs(&record);
        let task_id = jobs[0].task_id;
        queue.enqueue(&jobs).await.map_err(store)?;
        Ok(Accepted::Queued { task_id, image_id: Some(image_id) })
    }

    /// Queues images to be fetched, all or none.
    pub async fn queue_urls(&self, items: Vec<UrlItem>) -> Result<Vec<Accepted>, IngestError> {
        let model = self.projection.active().searched().spec().model.clone();
        let job = |UrlItem { url, metadata }| Job {
            task_id: TaskId::new(),
            model: model.clone(),
            name: Some(url.to_string()),
            source: JobSource::Url { url, metadata },
            created: Timestamp::now(),
            traceparent: None,
        };
        let jobs: Vec<Job> = items.into_iter().map(job).collect();
        let queued = self.stores.queue.enqueue(&jobs).await.map_err(store);
        let outcome = if queued.is_ok() { Reception::Queued } else { Reception::Failed };
        metrics::received(Source::Url, outcome, jobs.len() as u64);
        queued?;
        Ok(jobs.iter().map(|job| Accepted::Queued { task_id: job.task_id, image_id: None }).collect())
    }

    /// Changes metadata by a JSON merge patch (RFC 7396). Once this returns, filters see it.
    pub async fn change(&self, image_id: ImageId, patch: serde_json::Value) -> Result<ImageDocument, IngestError> {
        let ingest = self.clone();
        let change = async move {
            let record = ingest.stores.records.change_metadata(image_id, &patch).await.map_err(store)?;
            ingest.projection.align(image_id).await?;
            record.document().cloned().ok_or_else(|| store(RecordError::NotFound(image_id)))
        };
        tokio::spawn(carried(change)).await?
    }

    /// Deletes an image. Once this returns, no search finds it, and nothing that is in flight brings it back.
    pub async fn delete(&self, image_id: ImageId) -> Result<(), IngestError> {
        let ingest = self.clone();
        let delete = async move {
            ingest.stores.records.delete(image_id).await.map_err(store)?;
            Ok(ingest.projection.align(image_id).await?)
        };
        tokio::spawn(carried(delete)).await?
    }

    pub async fn task(&self, task_id: TaskId) -> Result<Task, IngestError> {
        self.stores.queue.task(task_id).await.map_err(store)?.ok_or(IngestError::NoTask(task_id))
    }

    /// A page of tasks, newest first, and how many there are of each status.
    pub async fn tasks(&self, query: &TaskQuery) -> Result<(TaskPage, Vec<(TaskStatus, u64)>), IngestError> {
        let (page, counts) =
            tokio::try_join!(self.stores.queue.tasks(query), self.stores.queue.counts()).map_err(store)?;
        Ok((page, counts))
    }

    /// Every change of a task from now on.
    pub fn changes(&self) -> BoxStream<'static, Task> {
        self.stores.queue.changes()
    }

    /// One for each model, the first for the one that is searched: it is what the client is told of.
    fn jobs(&self, record: &ImageRecord) -> Vec<Job> {
        let active = self.projection.active().all();
        active.iter().map(|collection| job_for(record, &collection.spec().model)).collect()
    }
}

fn reception(accepted: &Result<Accepted, IngestError>) -> Reception {
    match accepted {
        Ok(Accepted::Queued { .. }) => Reception::Queued,
        Ok(Accepted::Duplicate { .. }) => Reception::Duplicate,
        Err(IngestError::Store(_) | IngestError::Interrupted(_) | IngestError::Intake(IntakeError::Object(_))) => {
            Reception::Failed
        }
        Err(_) => Reception::Refused,
    }
}

fn store(error: impl Into<StoreError>) -> IngestError {
    IngestError::Store(error.into())
}
