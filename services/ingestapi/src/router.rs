//! Every route of `ingestapi`.

use std::sync::Arc;

use axum::{
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, header},
};
use shared::http::{Problem, Scope, require};
use tokio::sync::Semaphore;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::{Entries, Entry},
    images::{__path_change_image, __path_delete_image, change_image, delete_image},
    ingest::{Ingest, IngestError},
    lists,
    model::{__path_change_model, __path_get_model, ModelControl, change_model, get_model},
    samples::Samples,
    tasks::{self, __path_get_task, __path_list_tasks, __path_task_events, get_task, list_tasks, task_events},
    upload::{self, UploadForm},
    urls::{BulkLine, UrlList},
};

#[derive(Clone)]
pub struct IngestState {
    pub(crate) ingest: Ingest,
    samples: Option<Samples>,
    /// The largest request, in bytes.
    max_request_bytes: usize,
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) models: ModelControl,
}

impl IngestState {
    pub fn new(ingest: Ingest, max_request_bytes: u64, samples: Option<Samples>, models: ModelControl) -> Self {
        let max_request_bytes = usize::try_from(max_request_bytes).unwrap_or(usize::MAX);
        Self { ingest, samples, max_request_bytes, event_streams: tasks::event_stream_places(), models }
    }
}

/// All writes, and the tasks that they make.
pub fn router(state: IngestState) -> OpenApiRouter {
    routes().with_state(state)
}

/// The same without its state: what describes the API needs none.
pub fn routes() -> OpenApiRouter<IngestState> {
    let writes = OpenApiRouter::new()
        .routes(routes!(list_tasks, ingest))
        .routes(routes!(ingest_samples))
        .routes(routes!(task_events))
        .routes(routes!(get_model))
        .routes(routes!(get_task))
        .routes(routes!(change_image))
        .route_layer(require(Scope::Ingest));
    let deletes = OpenApiRouter::new().routes(routes!(delete_image)).route_layer(require(Scope::Delete));
    let models = OpenApiRouter::new().routes(routes!(change_model)).route_layer(require(Scope::Admin));
    writes.merge(deletes).merge(models)
}

/// Takes images in: files of a form, or URLs to fetch, as one JSON document or as JSON lines.
///
/// Each is taken or refused on its own. When all are refused, the answer is the first one's problem, with the entries in `tasks`.
#[utoipa::path(
    post,
    path = "/api/v1/ingest",
    tag = "ingest",
    request_body(content(
        (UploadForm = "multipart/form-data"),
        (UrlList = "application/json"),
        (BulkLine = "application/x-ndjson")
    )),
    responses((status = 202, description = "Taken: what became of each image", body = Entries), Problem)
)]
async fn ingest(State(state): State<IngestState>, mut request: Request) -> Result<Entries, Problem> {
    state.ingest.check_room().await?;
    DefaultBodyLimit::max(state.max_request_bytes).apply(&mut request);
    match BodyKind::of(request.headers()) {
        Some(BodyKind::Form) => upload::upload(&state.ingest, request).await,
        Some(BodyKind::List) => lists::queue_list(&state.ingest, request).await,
        Some(BodyKind::Lines) => lists::queue_lines(&state.ingest, request).await,
        None => Err(Problem::unsupported_type(
            "send files as multipart/form-data, or URLs as application/json or application/x-ndjson",
        )),
    }
}

/// Takes in the pictures that come with the server, for a first look.
#[utoipa::path(
    post,
    path = "/api/v1/ingest/samples",
    tag = "ingest",
    responses((status = 202, description = "Taken: what became of each sample", body = Entries), Problem)
)]
async fn ingest_samples(State(state): State<IngestState>) -> Result<Entries, Problem> {
    let samples = state.samples.as_ref().ok_or(IngestError::NoSamples)?;
    state.ingest.check_room().await?;
    let mut entries = Entries::default();
    for (name, outcome) in state.ingest.ingest_samples(samples()).await {
        entries.push(Entry::new(Some(name), outcome));
    }
    Ok(entries)
}

/// How the images of a request come.
enum BodyKind {
    Form,
    List,
    Lines,
}

impl BodyKind {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
        match essence.as_str() {
            "multipart/form-data" => Some(Self::Form),
            "application/json" => Some(Self::List),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Lines),
            _ => None,
        }
    }
}
