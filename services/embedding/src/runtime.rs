//! The ONNX Runtime library: where it is found, and the one environment that a process has of it.

use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use ort::{
    environment::Environment,
    logging::{LogLevel, LoggerFunction},
};

/// The version that `scripts/install-onnxruntime` fetches.
const CACHED_VERSION: &str = "1.32.0";
#[cfg(target_os = "macos")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(target_os = "macos"))]
const LIBRARY: &str = "libonnxruntime.so";

/// ONNX Runtime can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(
        "cannot load ONNX Runtime from {path} ({origin}): {reason}; correct the path, or remove it to search the usual places"
    )]
    Chosen { path: Utf8PathBuf, origin: &'static str, reason: String },
    #[error("found no usable ONNX Runtime library; run scripts/install-onnxruntime or set ORT_DYLIB_PATH (looked at {})", looked_at.join(", "))]
    NotFound { looked_at: Vec<String> },
    #[error("ONNX Runtime does not start")]
    Start(#[source] ort::Error),
}

/// ONNX Runtime allows one environment a process, so the first caller's library is everybody's.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's environment, for sessions of one's own beside an [`crate::Embedder`] (benchmarks compare the two).
/// `library` counts only at the first call that succeeds.
///
/// # Errors
/// When no ONNX Runtime is found or it can't be loaded.
pub fn environment(library: Option<&Utf8Path>) -> Result<Environment, RuntimeError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let started = load(library)?
        .with_name("imagesearch")
        .with_telemetry(false)
        .with_logger(forward_logs())
        .build()
        .map_err(RuntimeError::Start)?;
    // With a logger of our own the library starts at its most talkative.
    started.set_log_level(LogLevel::Warning);
    Ok(environment.insert(started).clone())
}

/// A library that somebody chose must load; among the usual places the first that loads is taken, since a
/// distribution's may be too old.
fn load(library: Option<&Utf8Path>) -> Result<ort::environment::EnvironmentBuilder, RuntimeError> {
    let from_environment = std::env::var("ORT_DYLIB_PATH").ok().filter(|path| !path.is_empty()).map(Utf8PathBuf::from);
    let chosen = library.map(|path| (path.to_owned(), "from the configuration"));
    if let Some((path, origin)) = chosen.or(from_environment.map(|path| (path, "from ORT_DYLIB_PATH"))) {
        return ort::init_from(&path).map_err(|error| RuntimeError::Chosen { path, origin, reason: error.to_string() });
    }
    let mut looked_at = Vec::new();
    for path in usual_places() {
        if !path.exists() {
            looked_at.push(path.to_string());
            continue;
        }
        match ort::init_from(&path) {
            Ok(builder) => return Ok(builder),
            Err(error) => looked_at.push(format!("{path} ({error})")),
        }
    }
    Err(RuntimeError::NotFound { looked_at })
}

/// In the order in which they are tried.
fn usual_places() -> Vec<Utf8PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let system =
        ["/usr/local/lib", "/usr/lib", "/usr/lib64", &multiarch].map(|folder| Utf8Path::new(folder).join(LIBRARY));
    let executable = std::env::current_exe().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let beside = executable.and_then(|path| Some(path.parent()?.join(LIBRARY)));
    let cache = std::env::var("IMAGESEARCH_CACHE")
        .map(Utf8PathBuf::from)
        .or_else(|_| std::env::var("HOME").map(|home| Utf8Path::new(&home).join(".cache/imagesearch")));
    let cached = cache.map(|cache| cache.join("onnxruntime").join(CACHED_VERSION).join(LIBRARY));
    system.into_iter().chain(beside).chain(cached.ok()).collect()
}

/// ONNX Runtime's own log lines among ours, instead of on stderr.
fn forward_logs() -> LoggerFunction {
    Arc::new(|level, category, _id, location, message| match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(category, location, "onnx runtime: {message}"),
        LogLevel::Warning => tracing::warn!(category, location, "onnx runtime: {message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::debug!(category, location, "onnx runtime: {message}"),
    })
}
