//! What is to be ingested: files, folders with all below them, URLs, lists on standard input.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use url::Url;
use walkdir::WalkDir;

/// URLs sent in one request.
const URLS_PER_REQUEST: usize = 100;
/// Enough of a file to know its type.
const SNIFF_BYTES: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Url(Url),
    /// Named by the user or met in a folder; the rest goes on without it.
    Unusable {
        name: String,
        reason: String,
    },
}

/// What one request carries.
#[derive(Debug)]
pub(super) enum Batch {
    File(PathBuf),
    Urls(Vec<Url>),
}

/// Expands what the user named. Files inside folders that are not images are passed over; a file that is named itself
/// is kept whatever it is, so that the server's answer tells what is wrong with it.
pub(super) async fn gather(named: &[OsString]) -> anyhow::Result<Vec<Source>> {
    let named = named.to_vec();
    tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for name in named {
            if name == "-" {
                for line in std::io::stdin().lock().split(b'\n') {
                    let line = line.context("cannot read the list on standard input")?;
                    let line = line.trim_ascii();
                    if !line.is_empty() {
                        expand(OsStr::from_bytes(line), &mut found);
                    }
                }
            } else {
                expand(&name, &mut found);
            }
        }
        Ok(found)
    })
    .await?
}

fn expand(name: &OsStr, found: &mut Vec<Source>) {
    let unusable = |reason: String| Source::Unusable { name: name.to_string_lossy().into_owned(), reason };
    if let Some((scheme, _)) =
        name.to_str().and_then(|text| text.split_once("://").filter(|_| !Path::new(text).exists()))
    {
        found.push(match name.to_string_lossy().parse() {
            Ok(url) if matches!(scheme, "http" | "https") => Source::Url(url),
            Ok(_) => unusable(format!("{scheme}:// is not fetched; give http:// or https://")),
            Err(error) => unusable(format!("it is not a URL: {error}")),
        });
        return;
    }
    match std::fs::metadata(name) {
        Ok(metadata) if metadata.is_dir() => walk(name, found),
        Ok(_) => found.push(Source::File(name.into())),
        Err(error) => found.push(unusable(format!("cannot read it: {error}"))),
    }
}

fn walk(folder: &OsStr, found: &mut Vec<Source>) {
    let unusable = |path: &Path, error: &dyn std::fmt::Display| Source::Unusable {
        name: path.display().to_string(),
        reason: format!("cannot read it: {error}"),
    };
    for entry in WalkDir::new(folder).sort_by_file_name().follow_links(true) {
        match entry {
            Err(error) => {
                let path = error.path().unwrap_or(Path::new(folder)).to_owned();
                let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                found.push(unusable(&path, &reason));
            }
            Ok(entry) if entry.file_type().is_file() => match is_image(entry.path()) {
                Ok(true) => found.push(Source::File(entry.into_path())),
                Ok(false) => {}
                Err(error) => found.push(unusable(entry.path(), &error)),
            },
            Ok(_) => {}
        }
    }
}

fn is_image(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(SNIFF_BYTES).read_to_end(&mut start)?;
    Ok(embedding::media::sniff(&start).is_ok())
}

/// One request a file; URLs go together. What can't be sent is left out.
pub(super) fn batches(found: Vec<Source>) -> Vec<Batch> {
    let mut urls = Vec::new();
    let mut batches = Vec::new();
    for source in found {
        match source {
            Source::File(path) => batches.push(Batch::File(path)),
            Source::Url(url) => urls.push(url),
            Source::Unusable { .. } => {}
        }
    }
    batches.extend(urls.chunks(URLS_PER_REQUEST).map(|chunk| Batch::Urls(chunk.to_vec())));
    batches
}
