//! What is to be ingested: files, folders with all below them, URLs, lists on standard input.

use std::io::{BufRead as _, Read as _};

use anyhow::Context as _;
use camino::Utf8PathBuf;
use url::Url;
use walkdir::WalkDir;

/// URLs sent in one request.
const URLS_PER_REQUEST: usize = 100;
/// Enough of a file to know its type.
const SNIFF_BYTES: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(Utf8PathBuf),
    Url(Url),
}

/// What one request carries.
#[derive(Debug)]
pub(super) enum Batch {
    File(Utf8PathBuf),
    Urls(Vec<Url>),
}

/// Expands what the user named. Files inside folders that are not images are passed over; a file that is named itself
/// is kept whatever it is, so that the server's answer tells what is wrong with it.
pub(super) async fn gather(named: &[String]) -> anyhow::Result<Vec<Source>> {
    let named = named.to_vec();
    tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for name in named {
            if name == "-" {
                for line in std::io::stdin().lock().lines() {
                    let line = line.context("cannot read the list on standard input")?;
                    if !line.trim().is_empty() {
                        expand(line.trim(), &mut found)?;
                    }
                }
            } else {
                expand(&name, &mut found)?;
            }
        }
        Ok(found)
    })
    .await?
}

fn expand(name: &str, found: &mut Vec<Source>) -> anyhow::Result<()> {
    if name.starts_with("http://") || name.starts_with("https://") {
        found.push(Source::Url(Url::parse(name).with_context(|| format!("{name:?} is not a URL"))?));
        return Ok(());
    }
    let metadata = std::fs::metadata(name).with_context(|| format!("cannot read {name}"))?;
    if metadata.is_file() {
        found.push(Source::File(name.into()));
        return Ok(());
    }
    for entry in WalkDir::new(name).sort_by_file_name().follow_links(true) {
        let entry = entry.with_context(|| format!("cannot list {name}"))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = Utf8PathBuf::from_path_buf(entry.into_path())
            .map_err(|path| anyhow::anyhow!("the name of {} is not UTF-8; rename it", path.display()))?;
        if looks_like_an_image(&path) {
            found.push(Source::File(path));
        }
    }
    Ok(())
}

fn looks_like_an_image(path: &Utf8PathBuf) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut start = Vec::new();
    file.take(SNIFF_BYTES).read_to_end(&mut start).is_ok() && embedding::media::sniff(&start).is_ok()
}

/// One request a file; URLs go together.
pub(super) fn batches(found: Vec<Source>) -> Vec<Batch> {
    let mut urls = Vec::new();
    let mut batches = Vec::new();
    for source in found {
        match source {
            Source::File(path) => batches.push(Batch::File(path)),
            Source::Url(url) => urls.push(url),
        }
    }
    batches.extend(urls.chunks(URLS_PER_REQUEST).map(|chunk| Batch::Urls(chunk.to_vec())));
    batches
}
