//! Our own layout: `model.yaml` says everything.

use std::collections::BTreeSet;

use camino::{Utf8Component, Utf8Path};

use crate::bundle::{BundleError, Manifest};

pub(super) const MANIFEST: &str = "model.yaml";

pub(super) fn read(folder: &Utf8Path) -> Result<Manifest, BundleError> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|source| BundleError::read(&path, source))?;
    let manifest: Manifest =
        serde_saphyr::from_str(&text).map_err(|error| BundleError::invalid(&path, error.to_string()))?;
    if manifest.dimension.is_none() {
        return Err(BundleError::invalid(path, "`dimension` is missing; give the length of the model's vectors"));
    }
    // A manifest comes from elsewhere; it must not make us read files outside the bundle.
    for file in files(&manifest) {
        if !file.components().all(|component| matches!(component, Utf8Component::Normal(_))) {
            return Err(BundleError::invalid(path, format!("{file} points outside the model's folder")));
        }
    }
    Ok(manifest)
}

/// The files that the manifest in `folder` names, with the weights that lie beside the graphs.
pub(super) fn named_files(folder: &Utf8Path, names: &[String]) -> Result<Vec<String>, BundleError> {
    let manifest = read(folder)?;
    let graphs = [manifest.image.graph.as_str(), manifest.text.graph.as_str()];
    let mut named: BTreeSet<String> = files(&manifest).map(|file| file.as_str().to_owned()).collect();
    named.extend(names.iter().filter(|name| graphs.iter().any(|graph| is_weights_of(name, graph))).cloned());
    Ok(named.into_iter().collect())
}

fn files(manifest: &Manifest) -> impl Iterator<Item = &Utf8Path> {
    let named = [&manifest.image.graph, &manifest.text.graph, &manifest.text.tokenizer];
    named.into_iter().chain(manifest.checksums.keys()).map(camino::Utf8PathBuf::as_path)
}

/// Exporters put weights over 2 GB beside the graph: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`.
pub(super) fn is_weights_of(name: &str, graph: &str) -> bool {
    name.strip_prefix(graph).is_some_and(|rest| rest.starts_with("_data") || rest.starts_with(".data"))
}
