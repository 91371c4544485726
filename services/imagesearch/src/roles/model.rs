//! Loads the configured model, and says what it is called, for every role and command that needs it.

mod cache;
mod fault;
mod library;
mod trial;

use std::sync::Arc;

use embedding::{Embedder, Progress, decode::Limits, source};
use shared::{ModelFingerprint, config::Config};

pub(crate) use self::{
    cache::{CachedModel, cached_models, folder as cache_folder},
    fault::ModelFault,
    library::{BUNDLED, Library, Obtained, configured_source},
    trial::Trial,
};

/// Told how much of a file has come.
pub(crate) type ShowProgress = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Loads the model: from the object store where processes share one and it is there, else from its source. Then it is
/// put into that store, so that nobody else has to fetch it.
pub(crate) async fn load(config: &Config) -> Result<Embedder, ModelFault> {
    let library = Library::open(config, log_progress()).await?;
    let bundle = match library.obtain().await? {
        Obtained::Stored(stored) => return library.load(library.copy(&stored).await?).await,
        Obtained::Fetched(bundle) => *bundle,
    };
    let embedder = library.load(bundle.clone()).await?;
    match library.keep(&bundle, embedder.dimension(), &|_| ()).await {
        Ok(false) => {}
        Ok(true) => tracing::info!(model = source::shown(&config.model.source), "the model is in the object store now"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the model can't be put into the object store; each process fetches it by itself");
        }
    }
    Ok(embedder)
}

/// What the model's collection is called and how long its vectors are, without keeping the model in memory.
pub(crate) async fn identify(config: &Config) -> Result<(ModelFingerprint, usize), ModelFault> {
    let library = Library::open(config, log_progress()).await?;
    let bundle = match library.obtain().await? {
        Obtained::Stored(stored) => return Ok((library.identify(&stored).await?, stored.manifest().dimension)),
        Obtained::Fetched(bundle) => *bundle,
    };
    if let Some(dimension) = bundle.manifest().dimension {
        return Ok((bundle.fingerprint().clone(), dimension));
    }
    let embedder = library.load(bundle).await?;
    Ok((embedder.fingerprint().clone(), embedder.dimension()))
}

/// What an image may cost to decode, for everybody who decodes.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        max_bytes: config.ingestapi.max_image_bytes,
        max_pixels: config.ingestworker.max_pixels,
        ..Limits::default()
    }
}

/// Logs the progress of files, a line each tenth of one.
pub(super) fn log_progress() -> ShowProgress {
    let last = std::sync::Mutex::new((String::new(), 0));
    Arc::new(move |progress: Progress<'_>| {
        let Some(total_bytes) = progress.total_bytes.filter(|total| *total > 0) else { return };
        let tenth = progress.done_bytes * 10 / total_bytes;
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if (last.0.as_str(), last.1) != (progress.file, tenth) {
            *last = (progress.file.to_owned(), tenth);
            tracing::info!(file = progress.file, percent = tenth * 10, "fetching the model");
        }
    })
}
