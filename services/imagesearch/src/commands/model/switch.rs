//! `imagesearch model use`: asks a server for another model, and shows how far it is.

use std::{process::ExitCode, time::Duration};

use reqwest::Method;
use shared::model::{ChangePhase, ModelChange, ModelChoice, ModelStatus};

use crate::{
    cli::ServerArgs,
    client::Client,
    exit::{CommandError, Failure},
    output,
};

const PATH: &str = "/api/v1/ingest/model";
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(
    server: &ServerArgs,
    choice: ModelChoice,
    no_wait: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let client = Client::new(server)?;
    // A folder is meant as the caller sees it; a server elsewhere says that it has none.
    let choice = ModelChoice { source: absolute(choice.source), ..choice };
    // As the server tells it back.
    let shown = ModelChoice { source: embedding::source::shown(&choice.source), ..choice.clone() };
    let before = status(&client).await?.current;
    let taken: ModelStatus = client.json(client.request(Method::PUT, PATH)?.json(&choice)).await?;
    let status = if no_wait { taken } else { follow(&client, &shown, json).await? };
    if json {
        output::print_json(&status)?;
    } else if status.current.choice == shown {
        output::print_line(&format!("searches use {} ({})", shown.source, status.current.fingerprint))?;
        if before.choice != shown && status.previous.is_some() {
            output::print_line(&format!("`imagesearch model use {}` goes back", before.choice.source))?;
        }
    } else {
        output::print_line("the server has taken it; `imagesearch status` tells how far it is")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a server says of its model; also for `imagesearch status`.
pub(crate) async fn status(client: &Client) -> anyhow::Result<ModelStatus> {
    client.json(client.request(Method::GET, PATH)?).await
}

/// One line about a change that is under way.
pub(crate) fn describe(change: &ModelChange) -> String {
    let to = &change.to.source;
    let reason = change.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match change.phase {
        ChangePhase::Loading => format!("the model {to} is being loaded{reason}"),
        ChangePhase::Indexing | ChangePhase::Switching => {
            let left = change.seconds_left.map(|seconds| format!(", about {} left", time(seconds))).unwrap_or_default();
            format!("{} of {} images are indexed by {to}{left}", change.indexed, change.images)
        }
        ChangePhase::Failed => format!("the model {to} is not used{reason}"),
    }
}

fn time(seconds: u64) -> String {
    indicatif::HumanDuration(Duration::from_secs(seconds)).to_string()
}

async fn follow(client: &Client, choice: &ModelChoice, json: bool) -> anyhow::Result<ModelStatus> {
    let bar = output::progress_bar(0, "images", json);
    loop {
        let status = status(client).await?;
        let Some(change) = status.change.as_ref().filter(|change| change.to == *choice) else {
            if status.current.choice == *choice {
                bar.finish_and_clear();
                return Ok(status);
            }
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        if change.phase == ChangePhase::Failed {
            bar.finish_and_clear();
            let reason = change.reason.clone().unwrap_or_default();
            return Err(CommandError::new(Failure::Partial, format!("the model is not changed: {reason}")).into());
        }
        bar.set_length(change.images);
        bar.set_position(change.indexed);
        bar.set_message(match change.phase {
            ChangePhase::Loading => "loading",
            _ => "indexing",
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A path that is there as seen from here, made absolute.
fn absolute(source: String) -> String {
    match camino::Utf8Path::new(&source).canonicalize_utf8() {
        Ok(path) if path.is_dir() => path.into_string(),
        _ => source,
    }
}
