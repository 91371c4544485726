//! Follows accepted tasks until each has ended. Asks for them in turn: that needs nothing but the API, and a few
//! requests a second, since the queue works in order and the oldest task is asked for first.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use reqwest::Method;
use shared::{Task, TaskId, TaskStatus};

use super::Outcome;
use crate::client::Client;

const ROUND: Duration = Duration::from_millis(250);
/// Tasks asked for in one round, and at once.
const ASKED_IN_A_ROUND: usize = 64;
const ASKED_AT_ONCE: usize = 8;

pub(super) async fn until_done(
    client: &Client,
    tasks: HashMap<TaskId, String>,
    mut tell: impl FnMut(&str, &Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Task ids are ordered by time, and so is this map.
    let mut open: BTreeMap<TaskId, String> = tasks.into_iter().collect();
    while !open.is_empty() {
        let oldest: Vec<TaskId> = open.keys().copied().take(ASKED_IN_A_ROUND).collect();
        let answers: Vec<(TaskId, anyhow::Result<Task>)> = stream::iter(oldest)
            .map(async |id| (id, ask(client, id).await))
            .buffer_unordered(ASKED_AT_ONCE)
            .collect()
            .await;
        let mut ended = 0;
        for (task_id, answer) in answers {
            if let Some(outcome) = outcome(&answer?) {
                let source = open.remove(&task_id).unwrap_or_default();
                tell(&source, &outcome)?;
                ended += 1;
            }
        }
        if ended < ASKED_IN_A_ROUND {
            tokio::time::sleep(ROUND).await;
        }
    }
    Ok(())
}

async fn ask(client: &Client, task_id: TaskId) -> anyhow::Result<Task> {
    let request = async || client.request(Method::GET, &format!("/api/v1/ingest/{task_id}"));
    client.read(client.send_patiently(request).await?).await
}

/// What a task came to; none while it is alive.
fn outcome(task: &Task) -> Option<Outcome> {
    match task.status {
        TaskStatus::Queued | TaskStatus::Processing => None,
        TaskStatus::Indexed => Some(Outcome::Indexed),
        TaskStatus::Duplicate => Some(Outcome::Present),
        TaskStatus::Superseded => Some(Outcome::Failed { reason: "it was deleted or uploaded again meanwhile".into() }),
        TaskStatus::Failed => {
            let reason = task.error.as_ref().map_or_else(|| "no reason given".to_owned(), |error| error.detail.clone());
            Some(Outcome::Failed { reason })
        }
    }
}
