//! The three layouts a model comes in. Which one it is, and which files it needs, is read off the list of file names,
//! so that a folder and a hub's listing are judged by the same code and a fetch takes nothing that isn't needed.

mod card;
mod hugging_face;
mod immich;
mod own;

use std::fmt;

use camino::Utf8Path;
use serde::de::DeserializeOwned;

use crate::bundle::{BundleError, Manifest};

/// Who laid the files out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// `model.yaml` names everything.
    Own,
    /// `onnx/vision_model<suffix>.onnx`, `onnx/text_model<suffix>.onnx` and JSON settings at the root.
    HuggingFace { suffix: String },
    /// `visual/` and `textual/`, each with a `model.onnx`.
    Immich,
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => formatter.write_str("model.yaml"),
            Self::HuggingFace { suffix } if suffix.is_empty() => formatter.write_str("Hugging Face ONNX export"),
            Self::HuggingFace { suffix } => write!(formatter, "Hugging Face ONNX export, variant {}", &suffix[1..]),
            Self::Immich => formatter.write_str("Immich export"),
        }
    }
}

/// A layout and the files of it that are needed, by their path within the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) layout: Layout,
    pub(crate) files: Vec<String>,
}

/// Recognises the layout. `place` is the folder or repository, for error texts; `variant` the wanted precision
/// (`fp16`, `quantized`, …) where the layout has several.
pub(crate) fn select(place: &str, names: &[String], variant: Option<&str>) -> Result<Selection, BundleError> {
    let selection = if names.iter().any(|name| name == own::MANIFEST) {
        Some(Selection { layout: Layout::Own, files: vec![own::MANIFEST.to_owned()] })
    } else if let Some(files) = immich::files(names) {
        Some(Selection { layout: Layout::Immich, files })
    } else {
        hugging_face::select(place, names, variant)?
    };
    let selection = selection.ok_or_else(|| BundleError::NoModel { folder: place.to_owned() })?;
    match (&selection.layout, variant) {
        (Layout::Own | Layout::Immich, Some(variant)) => Err(BundleError::NoVariant {
            folder: place.to_owned(),
            wanted: variant.to_owned(),
            found: format!("one only ({})", selection.layout),
        }),
        _ => require(place, &selection.files, names).map(|()| selection),
    }
}

/// Files that are known to be needed only once those of `selection` are in `folder`.
pub(crate) fn further_files(
    place: &str,
    folder: &Utf8Path,
    selection: &Selection,
    names: &[String],
) -> Result<Vec<String>, BundleError> {
    let files = match selection.layout {
        Layout::Own => own::named_files(folder, names)?,
        Layout::HuggingFace { .. } | Layout::Immich => Vec::new(),
    };
    require(place, &files, names).map(|()| files)
}

fn require(place: &str, files: &[String], names: &[String]) -> Result<(), BundleError> {
    match files.iter().find(|file| !names.contains(file)) {
        Some(missing) => Err(BundleError::Missing { path: Utf8Path::new(place).join(missing) }),
        None => Ok(()),
    }
}

/// Reads the settings of a bundle of this layout.
pub(crate) fn read(folder: &Utf8Path, layout: &Layout) -> Result<Manifest, BundleError> {
    match layout {
        Layout::Own => own::read(folder),
        Layout::HuggingFace { suffix } => hugging_face::read(folder, suffix),
        Layout::Immich => immich::read(folder),
    }
}

/// Parses a JSON file of the bundle; an error names the file and the field.
fn read_json<T: DeserializeOwned>(path: &Utf8Path) -> Result<T, BundleError> {
    let text = std::fs::read(path).map_err(|source| BundleError::read(path, source))?;
    let mut deserializer = serde_json::Deserializer::from_slice(&text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| BundleError::invalid(path, error.to_string()))
}

/// The same for a file that may be absent.
fn read_optional_json<T: DeserializeOwned + Default>(path: &Utf8Path) -> Result<T, BundleError> {
    match read_json(path) {
        Err(BundleError::Missing { .. }) => Ok(T::default()),
        other => other,
    }
}

/// A model's name where no file says one: the folder's.
fn folder_name(folder: &Utf8Path) -> String {
    folder.file_name().unwrap_or("model").to_owned()
}

/// The padding token as tokenizer files write it: a plain string, or an object around it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
enum TokenText {
    Plain(String),
    Object { content: String },
}

impl TokenText {
    fn into_text(self) -> String {
        match self {
            Self::Plain(text) | Self::Object { content: text } => text,
        }
    }
}

/// The part of `tokenizer_config.json` and `special_tokens_map.json` that matters here.
#[derive(Debug, Default, serde::Deserialize)]
struct TokenizerSettings {
    pad_token: Option<TokenText>,
    /// Tokenizers without a limit carry an absurdly large number here, sometimes as a float.
    model_max_length: Option<f64>,
}
