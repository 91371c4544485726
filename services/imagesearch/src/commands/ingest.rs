//! `imagesearch ingest`: gathers sources, uploads them side by side and follows them until they can be found.
//! What the server has already is not sent, so an interrupted run is continued by running it again.

mod follow;
mod sources;
mod upload;

use std::{collections::HashMap, process::ExitCode, sync::Mutex};

use console::style;
use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::ProgressBar;
use reqwest::Method;
use serde::Serialize;
use shared::{Metadata, TaskId};

use self::{sources::Source, upload::Uploader};
use crate::{
    cli::IngestArgs,
    client::Client,
    exit::{CommandError, Failure},
    output,
};

/// What became of one source.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Accepted; the task tells the rest.
    Queued {
        task_id: TaskId,
    },
    Indexed,
    /// The server has these bytes.
    Present,
    Failed {
        reason: String,
    },
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    source: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// Counts and prints outcomes as they come.
#[derive(Debug)]
struct Report {
    json: bool,
    bar: ProgressBar,
    counts: Mutex<Counts>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Counts {
    indexed: u64,
    queued: u64,
    present: u64,
    failed: u64,
}

pub(crate) async fn run(args: IngestArgs, json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.server)?;
    // A server that isn't there, or a key that may not do this, is told before anything is looked for.
    let tasks = client.request(Method::GET, "/api/v1/ingest")?.query(&[("limit", "1")]);
    client.json::<serde::de::IgnoredAny>(tasks).await?;
    let fields = args.fields.into_iter().collect();
    let metadata = Metadata { tags: args.tags, fields, ..Metadata::default() };
    let bar = output::progress_bar(0, "images", json);
    bar.set_message("looking");
    let found = sources::gather(&args.sources).await?;
    if found.is_empty() {
        bar.finish_and_clear();
        let named: Vec<_> = args.sources.iter().map(|source| source.to_string_lossy()).collect();
        let reason = format!("no images found in {}", named.join(", "));
        return Err(CommandError::new(Failure::NotFound, reason).into());
    }
    bar.set_length(found.len() as u64);
    bar.set_message("uploading");
    let report = Report { json, bar, counts: Mutex::default() };
    for source in &found {
        if let Source::Unusable { name, reason } = source {
            report.tell(name, &Outcome::Failed { reason: reason.clone() })?;
        }
    }

    let uploader = Uploader { client: &client, metadata: &metadata };
    let queued = upload_all(&uploader, found, usize::from(args.jobs), &report).await?;
    if args.no_wait {
        for (task_id, source) in queued {
            report.tell(&source, &Outcome::Queued { task_id })?;
        }
    } else {
        report.bar.set_message("indexing");
        follow::until_done(&client, queued, |source, outcome| report.tell(source, outcome)).await?;
    }
    report.finish()
}

/// Uploads everything; returns the tasks to follow, by id, with the source of each.
async fn upload_all(
    uploader: &Uploader<'_>,
    found: Vec<Source>,
    jobs: usize,
    report: &Report,
) -> anyhow::Result<HashMap<TaskId, String>> {
    let queued = Mutex::new(HashMap::new());
    futures::stream::iter(sources::batches(found))
        .map(Ok)
        .try_for_each_concurrent(jobs, |batch| async {
            for (source, outcome) in uploader.upload(batch).await? {
                match outcome {
                    Outcome::Queued { task_id } => {
                        queued.lock().expect("no panic holds the lock").insert(task_id, source);
                    }
                    ended => report.tell(&source, &ended)?,
                }
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(queued.into_inner().expect("no panic holds the lock"))
}

impl Report {
    fn tell(&self, source: &str, outcome: &Outcome) -> anyhow::Result<()> {
        self.counts.lock().expect("no panic holds the lock").add(outcome);
        self.bar.inc(1);
        if self.json {
            return output::print_json(&Line { source, outcome });
        }
        if let Outcome::Failed { reason } = outcome {
            self.bar.suspend(|| eprintln!("{} {source}: {reason}", style("failed").red()));
        }
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<ExitCode> {
        self.bar.finish_and_clear();
        let counts = *self.counts.lock().expect("no panic holds the lock");
        if self.json {
            output::print_json(&counts)?;
        } else {
            output::print_line(&counts.sentence())?;
        }
        Ok(if counts.failed > 0 { Failure::Partial.into() } else { ExitCode::SUCCESS })
    }
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Queued { .. } => self.queued += 1,
            Outcome::Indexed => self.indexed += 1,
            Outcome::Present => self.present += 1,
            Outcome::Failed { .. } => self.failed += 1,
        }
    }

    fn sentence(self) -> String {
        let parts = [
            (self.indexed, "indexed"),
            (self.queued, "queued"),
            (self.present, "there already"),
            (self.failed, "failed"),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        told.join(", ")
    }
}
