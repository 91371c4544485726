//! Tasks: one, lists, and a stream of their changes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use backends::queue::TaskQuery;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use shared::{
    Task, TaskId, TaskStatus,
    http::{Json, Path, Problem, Query, ShuttingDown},
};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::router::IngestState;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1000;
/// Streams that are open at once; each costs a connection and a place in the concurrency limit.
pub(crate) const MAX_EVENT_STREAMS: usize = 128;
/// Keeps proxies from closing a quiet stream, and tells the server that the client is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TaskParams {
    /// Only tasks with this status.
    #[param(inline)]
    status: Option<TaskStatus>,
    /// Number of tasks; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskList {
    tasks: Vec<Task>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    counts: TaskCounts,
}

/// How many tasks have each status, whatever the page shows.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct TaskCounts {
    queued: u64,
    processing: u64,
    indexed: u64,
    failed: u64,
    duplicate: u64,
    superseded: u64,
}

impl FromIterator<(TaskStatus, u64)> for TaskCounts {
    fn from_iter<I: IntoIterator<Item = (TaskStatus, u64)>>(counts: I) -> Self {
        counts.into_iter().fold(Self::default(), |mut all, (status, count)| {
            match status {
                TaskStatus::Queued => all.queued = count,
                TaskStatus::Processing => all.processing = count,
                TaskStatus::Indexed => all.indexed = count,
                TaskStatus::Failed => all.failed = count,
                TaskStatus::Duplicate => all.duplicate = count,
                TaskStatus::Superseded => all.superseded = count,
            }
            all
        })
    }
}

impl TaskParams {
    fn query(self) -> Result<TaskQuery, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("limit must lie between 1 and {MAX_LIMIT}, not {limit}")));
        }
        Ok(TaskQuery { status: self.status, cursor: self.cursor, limit })
    }
}

/// The state of one task.
#[utoipa::path(
    get,
    path = "/api/v1/ingest/{task_id}",
    tag = "tasks",
    params(("task_id" = TaskId, Path)),
    responses((status = 200, body = Task), Problem)
)]
pub(crate) async fn get_task(
    State(state): State<IngestState>,
    Path(task_id): Path<TaskId>,
) -> Result<Json<Task>, Problem> {
    Ok(Json(state.ingest.task(task_id).await?))
}

/// Tasks, newest first, a page at a time.
#[utoipa::path(
    get,
    path = "/api/v1/ingest",
    tag = "tasks",
    params(TaskParams),
    responses((status = 200, body = TaskList), Problem)
)]
pub(crate) async fn list_tasks(
    State(state): State<IngestState>,
    Query(params): Query<TaskParams>,
) -> Result<Json<TaskList>, Problem> {
    let (page, counts) = state.ingest.tasks(&params.query()?).await?;
    let counts = counts.into_iter().collect();
    Ok(Json(TaskList { tasks: page.tasks, next_cursor: page.next_cursor, counts }))
}

/// Every change of a task from now on, as server-sent events: `event: task`, `data:` the task as JSON.
#[utoipa::path(
    get,
    path = "/api/v1/ingest/events",
    tag = "tasks",
    responses((status = 200, description = "Events without end", content_type = "text/event-stream", body = String), Problem)
)]
pub(crate) async fn task_events(
    State(state): State<IngestState>,
    Extension(ShuttingDown(shutdown)): Extension<ShuttingDown>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&state.event_streams).try_acquire_owned().map_err(|_| Problem::overloaded(KEEP_ALIVE))?;
    let events = state.ingest.changes().take_until(shutdown.cancelled_owned()).filter_map(move |task| {
        // Held for as long as the stream lives.
        let _place = &place;
        // A task is plain data, which JSON always can express.
        std::future::ready(Event::default().event("task").json_data(&task).ok().map(Ok))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

pub(crate) fn event_stream_places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_EVENT_STREAMS))
}
