//! Brings the configured model to this machine and loads it.

use std::sync::Arc;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use embedding::{Bundle, Embedder, EmbedderOptions, FetchOptions, Progress, Source, decode::Limits};
use shared::{ModelFingerprint, config::Config};

use crate::assets;

/// Fetches the model when it isn't here yet, and loads it. `progress` is told how much of a download has arrived.
pub(crate) async fn load(
    config: &Config,
    progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
) -> anyhow::Result<Embedder> {
    let bundle = open(config, progress).await?;
    Embedder::load(bundle, options(config))
        .await
        .with_context(|| format!("cannot load the model {}", config.model.source))
}

/// What the model's collection is called and how long its vectors are, without keeping the model in memory.
pub(crate) async fn identify(config: &Config) -> anyhow::Result<(ModelFingerprint, usize)> {
    let progress = Arc::new(log_progress());
    let bundle = open(config, progress.clone()).await?;
    if let Some(dimension) = bundle.manifest().dimension {
        return Ok((bundle.fingerprint().clone(), dimension));
    }
    let embedder = load(config, progress).await?;
    Ok((embedder.fingerprint().clone(), embedder.dimension()))
}

async fn open(config: &Config, progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>) -> anyhow::Result<Bundle> {
    let cache_dir = config.model.cache_dir.clone().unwrap_or_else(|| config.data_dir.join("models"));
    if config.model.source == "bundled" {
        let folder = tokio::task::spawn_blocking(move || assets::extract_bundled_model(&cache_dir)).await??;
        return Ok(Bundle::open(&folder)?);
    }
    let mut source: Source = config.model.source.parse()?;
    if let Some(checksum) = &config.model.sha256 {
        source = source.expect(checksum.parse()?)?;
    }
    let folder: Utf8PathBuf = source.fetch(&fetch_options(config, cache_dir, progress)?).await?;
    Ok(Bundle::open_variant(&folder, source.variant())?)
}

fn fetch_options(
    config: &Config,
    cache_dir: Utf8PathBuf,
    progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
) -> anyhow::Result<FetchOptions> {
    let mut options = FetchOptions { progress, ..FetchOptions::new(cache_dir) };
    options.hub_token = config.model.token.as_ref().map(|token| token.reveal().to_owned());
    if let Some(endpoint) = &config.model.hub_endpoint {
        options.hub_endpoint =
            endpoint.parse().with_context(|| format!("model.hub_endpoint: {endpoint:?} is not a URL"))?;
    }
    Ok(options)
}

fn options(config: &Config) -> EmbedderOptions {
    let threads = config.model.threads.unwrap_or_else(embedding::cpu_limit);
    EmbedderOptions {
        threads,
        decode_threads: threads,
        batch_size: config.ingestworker.batch_size,
        text_cache_entries: config.searchapi.text_cache_entries,
        limits: limits(config),
        ..EmbedderOptions::default()
    }
}

/// What an image may cost to decode, for everybody who decodes.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        max_bytes: config.ingestapi.max_image_bytes,
        max_pixels: config.ingestworker.max_pixels,
        ..Limits::default()
    }
}

/// Logs a download's progress, a line each tenth of a file.
pub(crate) fn log_progress() -> impl Fn(Progress<'_>) + Send + Sync {
    let last = std::sync::Mutex::new((String::new(), 0));
    move |progress| {
        let Some(total_bytes) = progress.total_bytes.filter(|total| *total > 0) else { return };
        let tenth = progress.done_bytes * 10 / total_bytes;
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if (last.0.as_str(), last.1) != (progress.file, tenth) {
            *last = (progress.file.to_owned(), tenth);
            tracing::info!(file = progress.file, percent = tenth * 10, "fetching the model");
        }
    }
}
