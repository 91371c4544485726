//! `imagesearch status`: what is indexed, waiting and failed, or one task.

use std::process::ExitCode;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::{Task, TaskId, TaskStatus};

use super::model::switch;
use crate::{cli::StatusArgs, client::Client, exit::Failure, output};

#[derive(Debug, Deserialize)]
struct TaskPage {
    tasks: Vec<Task>,
    counts: Value,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ImagePage {
    total: u64,
}

pub(crate) async fn run(args: StatusArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server)?;
    match (args.task_id, args.failed) {
        (Some(task_id), _) => one(&client, task_id, json).await,
        (None, true) => failed(&client, json).await,
        (None, false) => all(&client, json).await,
    }
}

async fn one(client: &Client, task_id: TaskId, json: bool) -> anyhow::Result<ExitCode> {
    let task: Task = client.json(client.request(Method::GET, &format!("/api/v1/ingest/{task_id}"))?).await?;
    if json {
        output::print_json(&task)?;
    } else {
        output::print_line(&describe(&task))?;
    }
    Ok(if task.status == TaskStatus::Failed { Failure::Partial.into() } else { ExitCode::SUCCESS })
}

async fn failed(client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    let mut cursor = None;
    let mut told = 0;
    loop {
        let mut request =
            client.request(Method::GET, "/api/v1/ingest")?.query(&[("status", "failed"), ("limit", "100")]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let page: TaskPage = client.json(request).await?;
        for task in &page.tasks {
            if json {
                output::print_json(task)?;
            } else {
                output::print_line(&describe(task))?;
            }
        }
        told += page.tasks.len();
        cursor = page.next_cursor;
        if cursor.is_none() {
            if told == 0 && !json {
                output::print_line("no task has failed")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn all(client: &Client, json: bool) -> anyhow::Result<ExitCode> {
    let tasks: TaskPage = client.json(client.request(Method::GET, "/api/v1/ingest")?.query(&[("limit", "1")])).await?;
    let images: ImagePage = client.json(client.request(Method::GET, "/api/v1/image")?.query(&[("limit", "1")])).await?;
    let model = switch::status(client).await?;
    if json {
        output::print_json(&json!({ "images": images.total, "tasks": tasks.counts, "model": model }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let count = |status: TaskStatus| tasks.counts[status.as_str()].as_u64().unwrap_or(0);
    output::print_line(&format!("{} images can be found", images.total))?;
    output::print_line(&format!(
        "{} tasks wait, {} are worked on, {} failed",
        count(TaskStatus::Queued),
        count(TaskStatus::Processing),
        count(TaskStatus::Failed)
    ))?;
    if let Some(change) = &model.change {
        output::print_line(&switch::describe(change))?;
    }
    if count(TaskStatus::Failed) > 0 {
        output::print_line("`imagesearch status --failed` tells why")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(task: &Task) -> String {
    let name = task.name.as_deref().unwrap_or("(no name)");
    let reason = task.error.as_ref().map(|error| format!(": {}", error.detail)).unwrap_or_default();
    format!("{}  {:<10}  {name}{reason}", task.task_id, task.status.as_str())
}
