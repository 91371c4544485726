//! `imagesearch model`: looks at models before they are used, and fetches one for everybody.

mod beside;
mod compare;
mod list;
pub(super) mod switch;

use std::{process::ExitCode, sync::Arc, time::Instant};

use backends::models::StoredModelError;
use embedding::Embedder;
use indicatif::ProgressBar;
use serde_json::json;
use shared::{
    ModelFingerprint,
    config::{Config, ModelChecksums},
    model::ModelChoice,
};

use crate::{
    cli::{ConfigArgs, ModelArgs, ModelCommand},
    commands::config,
    exit::CommandError,
    output,
    roles::model::{Library, ModelFault, Obtained, ShowProgress, Trial},
};

pub(crate) async fn run(args: ModelArgs, json: bool) -> anyhow::Result<ExitCode> {
    match args.command {
        ModelCommand::Fetch(config) => fetch(&config, json).await,
        ModelCommand::Use { server, source, sha256, no_wait } => {
            let sha256 = sha256.map(ModelChecksums::Archive);
            switch::run(&server, ModelChoice { source, sha256 }, no_wait, json).await
        }
        ModelCommand::Fill(config) => beside::fill(&config, json).await,
        ModelCommand::Remove(config) => beside::remove(&config, json).await,
        ModelCommand::Verify { config, source } => verify(&config, source, json).await,
        ModelCommand::List(config) => list::run(&config, json).await,
        ModelCommand::Compare(args) => compare::run(&args, json).await,
        ModelCommand::Measure { config, source } => compare::measure(&config, source, json).await,
    }
}

async fn verify(args: &ConfigArgs, source: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let mut config = config::load(args)?;
    let is_trial = source.is_some();
    if let Some(source) = source {
        config.model.source = source;
        config.model.sha256 = None;
    }
    let bar = output::progress_bar(0, "bytes", json);
    bar.set_message("fetching");
    let started = Instant::now();
    let embedder = load(&config, is_trial, show(&bar)).await;
    bar.finish_and_clear();
    let embedder = embedder.map_err(told)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let margin = Trial::of(&embedder).await?.margin();
    if json {
        output::print_json(&json!({
            "source": config.model.source, "name": embedder.name(), "fingerprint": embedder.fingerprint(),
            "dimension": embedder.dimension(), "load_ms": load_ms, "margin": margin,
        }))?;
    } else {
        output::print_line(&format!("{} works", embedder.name()))?;
        output::print_line(&format!("  fingerprint  {}", embedder.fingerprint()))?;
        output::print_line(&format!("  dimension    {}", embedder.dimension()))?;
        output::print_line(&format!("  loaded in    {load_ms:.0} ms"))?;
        output::print_line(&format!("  tells a giraffe from a cat by a cosine of {margin:.3}"))?;
    }
    if margin <= 0.0 {
        anyhow::bail!(
            "the model can't tell a giraffe from a cat; its settings don't fit its graphs, or it isn't a CLIP-style model"
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn load(config: &Config, is_trial: bool, progress: ShowProgress) -> Result<Embedder, ModelFault> {
    let library = if is_trial {
        Library::without_store(config, progress).await?
    } else {
        Library::open(config, progress).await?
    };
    let bundle = match library.obtain().await? {
        Obtained::Stored(stored) => library.copy(&stored).await?,
        Obtained::Fetched(bundle) => *bundle,
    };
    library.load(bundle).await
}

async fn fetch(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = config::load(args)?;
    let bar = output::progress_bar(0, "bytes", json);
    let fetched = fetch_for_all(&config, &bar).await;
    bar.finish_and_clear();
    let Fetched { name, fingerprint, dimension, place, was_there } = fetched?;
    if json {
        output::print_json(&json!({
            "source": config.model.source, "name": name, "fingerprint": fingerprint, "dimension": dimension,
            "place": place, "was_there": was_there,
        }))?;
    } else {
        let already = if was_there { " already" } else { "" };
        output::print_line(&format!("{name} ({fingerprint}) is{already} in {place}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Fetched {
    name: String,
    fingerprint: ModelFingerprint,
    dimension: usize,
    place: String,
    /// Nothing was done.
    was_there: bool,
}

async fn fetch_for_all(config: &Config, bar: &ProgressBar) -> anyhow::Result<Fetched> {
    let place = "the object store".to_owned();
    let progress = show(bar);
    let library = Library::open(config, progress.clone()).await.map_err(told)?;
    if let Some(stored) = library.stored().await.map_err(told)? {
        bar.set_message("checking");
        match stored.verify(&*progress).await {
            Ok(()) => {
                let (name, dimension) = (stored.manifest().name.clone(), stored.manifest().dimension);
                let fingerprint = library.identify(&stored).await.map_err(told)?;
                return Ok(Fetched { name, fingerprint, dimension, place, was_there: true });
            }
            Err(StoredModelError::Damaged(_)) => {}
            Err(error) => return Err(told(error.into())),
        }
    }
    bar.set_message("fetching");
    let bundle = library.fetch().await.map_err(told)?;
    let embedder = library.load(bundle.clone()).await.map_err(told)?;
    if Trial::of(&embedder).await?.is_constant() {
        anyhow::bail!(
            "the model gives different texts, or different photos, the same vector; the export is broken, choose another"
        );
    }
    bar.set_message("storing");
    let is_kept = library.keep(&bundle, embedder.dimension(), &*progress).await.map_err(told)?;
    Ok(Fetched {
        name: embedder.name().to_owned(),
        fingerprint: embedder.fingerprint().clone(),
        dimension: embedder.dimension(),
        place: if is_kept { place } else { bundle.folder().to_string() },
        was_there: false,
    })
}

/// With the exit code that tells whether trying again may help.
fn told(fault: ModelFault) -> anyhow::Error {
    let failure = fault.failure();
    CommandError::new(failure, format!("{:#}", anyhow::Error::new(fault))).into()
}

fn show(bar: &ProgressBar) -> ShowProgress {
    let bar = bar.clone();
    Arc::new(move |progress: embedding::Progress<'_>| {
        bar.set_length(progress.total_bytes.unwrap_or(progress.done_bytes));
        bar.set_position(progress.done_bytes);
    })
}
