//! `imagesearch model`: looks at models before they are used.

use std::{process::ExitCode, sync::Arc, time::Instant};

use indicatif::ProgressBar;
use serde_json::json;

use crate::{
    assets,
    cli::{ModelArgs, ModelCommand},
    commands::config,
    output,
    roles::model,
};

/// A text, and the sample photo that it should find before the other one.
const TRIALS: [(&str, &str); 2] = [("a giraffe", "giraffe.jpg"), ("a cat", "cat.jpg")];

pub(crate) async fn run(args: ModelArgs, json: bool) -> anyhow::Result<ExitCode> {
    let ModelCommand::Verify { config, source } = args.command;
    let mut config = config::load(&config)?;
    if let Some(source) = source {
        config.model.source = source;
        config.model.sha256 = None;
    }
    let bar = output::progress_bar(0, "bytes", json);
    bar.set_message("fetching");
    let started = Instant::now();
    let embedder = model::load(&config, Arc::new(show(&bar))).await;
    bar.finish_and_clear();
    let embedder = embedder?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let margin = margin(&embedder).await?;
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

/// By how much texts find their own photos before the other's: the smallest difference of cosines.
async fn margin(embedder: &embedding::Embedder) -> anyhow::Result<f32> {
    let samples = assets::samples()?;
    let mut texts = Vec::new();
    let mut photos = Vec::new();
    for (text, photo) in TRIALS {
        texts.push(embedder.embed_text(text).await?);
        let sample = samples
            .iter()
            .find(|sample| sample.name == photo)
            .ok_or_else(|| anyhow::anyhow!("the sample {photo} is missing"))?;
        photos.push(embedder.embed_query_image(sample.bytes.to_vec().into()).await?);
    }
    let cosine = |text: usize, photo: usize| texts[text].iter().zip(&photos[photo]).map(|(a, b)| a * b).sum::<f32>();
    Ok((cosine(0, 0) - cosine(0, 1)).min(cosine(1, 1) - cosine(1, 0)))
}

fn show(bar: &ProgressBar) -> impl Fn(embedding::Progress<'_>) + Send + Sync + 'static {
    let bar = bar.clone();
    move |progress| {
        bar.set_length(progress.total_bytes.unwrap_or(progress.done_bytes));
        bar.set_position(progress.done_bytes);
    }
}
