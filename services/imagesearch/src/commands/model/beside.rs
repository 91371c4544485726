//! `imagesearch model fill` and `remove`: the two steps of a change of the model that a deployment of roles on their own has
//! to have done, by whoever runs them. docs/models.md tells the order of all steps.

use std::{process::ExitCode, time::Duration};

use embedding::source::shown;
use indicatif::ProgressBar;
use serde_json::json;
use shared::{
    config::Config,
    model::{FillProgress, ModelChoice},
};

use crate::{
    cli::ConfigArgs,
    commands::config,
    exit::{CommandError, Failure},
    output,
    roles::{
        change::{self, ChangeFault},
        signals,
    },
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) async fn fill(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = load(args)?;
    let bar = output::progress_bar(0, "images", json);
    bar.set_message("filling");
    let show = |progress: &FillProgress| {
        bar.set_length(progress.images);
        bar.set_position(progress.indexed);
    };
    let filled = when_there(&bar, async || change::fill_beside(&config, show).await).await;
    bar.finish_and_clear();
    let Some(filled) = filled? else {
        output::print_line("stopped; it goes on when it is run again")?;
        return Ok(Failure::Partial.into());
    };
    match (filled, json) {
        (Some(filled), true) => {
            let FillProgress { model, indexed, images, .. } = filled;
            output::print_json(&json!({ "fingerprint": model.fingerprint, "indexed": indexed, "images": images }))?;
        }
        (None, true) => output::print_json(&json!({ "indexed": 0, "images": 0 }))?,
        (Some(FillProgress { model, images, .. }), false) => {
            let source = shown(&model.choice.source);
            output::print_line(&format!("all of {images} images are indexed by {source}; searches may use it"))?;
        }
        (None, false) => output::print_line("both are the same model; there is nothing to be done")?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = load(args)?;
    let bar = ProgressBar::hidden();
    let removed = when_there(&bar, async || change::remove(&config).await).await?;
    let Some(removed) = removed else { return Ok(Failure::Partial.into()) };
    if json {
        output::print_json(&json!({ "removed": removed }))?;
    } else if removed {
        output::print_line(&format!("what {} had indexed is removed", shown(&config.model.source)))?;
    } else {
        output::print_line("both are the same model; it stays")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    let config = config::load(args)?;
    if !config.embedded_stores().is_empty() {
        let reason =
            "this is for stores that several processes share; `imagesearch model use` changes the model of one process";
        return Err(CommandError::new(Failure::Partial, reason).into());
    }
    if ModelChoice::beside(&config.model).is_none() {
        let reason = "model.beside.source has to name the model that searches use meanwhile (docs/models.md)";
        return Err(CommandError::new(Failure::Partial, reason).into());
    }
    Ok(config)
}

/// Tries again as long as waiting may help; `None` when it is told to stop.
async fn when_there<T>(
    bar: &ProgressBar,
    attempt: impl AsyncFn() -> Result<T, ChangeFault>,
) -> anyhow::Result<Option<T>> {
    let shutdown = signals::shutdown();
    let mut pause = FIRST_PAUSE;
    loop {
        let attempted = tokio::select! {
            attempted = attempt() => attempted,
            () = shutdown.cancelled() => return Ok(None),
        };
        let fault = match attempted {
            Ok(done) => return Ok(Some(done)),
            Err(fault) if fault.may_pass() => fault,
            Err(fault) => return Err(CommandError::new(Failure::UnusableModel, fault.reason()).into()),
        };
        bar.suspend(|| eprintln!("waiting: {}", fault.reason()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
