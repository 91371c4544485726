//! The fingerprint: a model's name by what it computes. Equal fingerprints give equal vectors, so it names the collection.

use camino::Utf8Path;
use serde::Serialize;
use shared::ModelFingerprint;

use super::{BundleError, Clean, Manifest, Padding, PreprocessSettings};
use crate::checksum::{Checksum, FileChecksums};

/// Hexadecimal digits of a fingerprint: enough for the handful of models that one installation ever sees.
const DIGITS: usize = 16;

/// All that decides what vectors come out, in a fixed order. File names, the model's own name, its licence and its
/// languages don't.
#[derive(Serialize)]
struct Computation<'a> {
    /// Raise it when our own code starts to compute other vectors from the same files.
    pipeline: u32,
    image_graph: Vec<Checksum>,
    text_graph: Vec<Checksum>,
    tokenizer: Checksum,
    context_length: usize,
    padding: Padding,
    pad_token: Option<&'a str>,
    clean: Clean,
    prefix: &'a str,
    normalise: bool,
    preprocess: &'a PreprocessSettings,
}

const PIPELINE: u32 = 1;

pub(super) fn hash_files(folder: &Utf8Path, files: &[String]) -> Result<FileChecksums, BundleError> {
    let hash = |file: &String| {
        let path = folder.join(file);
        Checksum::of_file(&path)
            .map(|checksum| (file.clone(), checksum))
            .map_err(|source| BundleError::read(path, source))
    };
    files.iter().map(hash).collect()
}

pub(super) fn of(manifest: &Manifest, checksums: &FileChecksums) -> ModelFingerprint {
    let text = &manifest.text;
    let computation = Computation {
        pipeline: PIPELINE,
        image_graph: with_weights(&manifest.image.graph, checksums),
        text_graph: with_weights(&text.graph, checksums),
        tokenizer: checksums[text.tokenizer.as_str()],
        context_length: text.context_length,
        padding: text.padding,
        // Without padding the token has no effect.
        pad_token: text.pad_token.as_deref().filter(|_| text.padding == Padding::Full),
        clean: text.clean,
        prefix: &text.prefix,
        normalise: manifest.normalise,
        preprocess: &manifest.image.preprocess,
    };
    let canonical = serde_json::to_vec(&computation).expect("plain data always serialises");
    let mut digits = Checksum::of(&canonical).to_string();
    digits.truncate(DIGITS);
    ModelFingerprint(digits)
}

/// The graph's checksum, then those of the weights beside it.
fn with_weights(graph: &Utf8Path, checksums: &FileChecksums) -> Vec<Checksum> {
    let folder = graph.parent().unwrap_or(Utf8Path::new(""));
    let beside = checksums.iter().filter(|(file, _)| {
        let file = Utf8Path::new(file);
        file != graph && file.parent() == Some(folder) && !matches!(file.extension(), Some("json" | "yaml" | "onnx"))
    });
    std::iter::once(checksums[graph.as_str()]).chain(beside.map(|(_, checksum)| *checksum)).collect()
}
