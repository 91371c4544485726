//! What can be wrong with a model: one variant a fault, each naming the file and what to do.

use std::io;

use camino::Utf8PathBuf;

use crate::{checksum::Checksum, model_error::ModelError, runtime::RuntimeError};

/// A model that can't be used. Found before anything is served with it.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("no threads can be started for ingest; raise the limit on processes")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    #[error(
        "{folder} holds no model: expected model.yaml, a Hugging Face ONNX export (onnx/vision_model.onnx and \
         onnx/text_model.onnx) or an Immich export (visual/model.onnx and textual/model.onnx)"
    )]
    NoModel { folder: String },
    #[error(
        "{folder} has only the merged graph {graph}, which needs an image and a text in every run; choose the split \
         export with onnx/vision_model.onnx and onnx/text_model.onnx"
    )]
    MergedOnly { folder: String, graph: String },
    #[error("{folder} has no variant {wanted:?} of both graphs; it has {found}")]
    NoVariant { folder: String, wanted: String, found: String },
    #[error("model file {path} is missing; complete the folder, or fetch the model again")]
    Missing { path: Utf8PathBuf },
    #[error("cannot read model file {path}")]
    Read {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("model file {path} is not valid: {reason}")]
    Invalid { path: Utf8PathBuf, reason: String },
    #[error("model file {path} does not match its checksum: expected {expected}, found {found}; fetch the model again")]
    Checksum { path: Utf8PathBuf, expected: Checksum, found: Checksum },
    #[error("there is a checksum for model file {path}, but the model has no such file; it has {files}")]
    NotUsed { path: Utf8PathBuf, files: String },
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("ONNX Runtime cannot load graph {path}; check that the file is whole and made for a supported opset")]
    Graph {
        path: Utf8PathBuf,
        #[source]
        source: ort::Error,
    },
    #[error("graph {path} is not the {part} half of a CLIP-like model: {reason}")]
    NotClip { path: Utf8PathBuf, part: &'static str, reason: String },
    #[error(
        "graph {path} gives vectors of {found} numbers where {expected} were expected ({why}); graphs and settings must come from one export"
    )]
    WrongDimension { path: Utf8PathBuf, expected: usize, found: usize, why: &'static str },
    #[error(
        "graph {path} takes images of {graph} pixels, but the preprocessing makes {settings}; correct the preprocessing"
    )]
    WrongInputSize { path: Utf8PathBuf, graph: String, settings: String },
    #[error("graph {path} failed its trial run; the export is broken, choose another")]
    TrialRun {
        path: Utf8PathBuf,
        #[source]
        source: ModelError,
    },
}

impl BundleError {
    pub(crate) fn invalid(path: impl Into<Utf8PathBuf>, reason: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn not_used<'a>(path: Utf8PathBuf, files: impl Iterator<Item = &'a String>) -> Self {
        Self::NotUsed { path, files: files.map(String::as_str).collect::<Vec<_>>().join(", ") }
    }

    /// An I/O error on a file of the bundle; "not found" gets its own words.
    pub(crate) fn read(path: impl Into<Utf8PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if source.kind() == io::ErrorKind::NotFound { Self::Missing { path } } else { Self::Read { path, source } }
    }
}
