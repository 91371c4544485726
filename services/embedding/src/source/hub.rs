//! A model hub that speaks Hugging Face's protocol: a listing a revision, `resolve` paths for the files. Only the files
//! that the model needs are fetched, each checked, into a folder named by the commit.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use tokio::fs;
use url::Url;

use super::{
    FetchError, FetchOptions, Progress,
    download::{Download, Downloader},
    lock,
};
use crate::bundle::layout;

const DEFAULT_REVISION: &str = "main";

/// A repository, or a folder of it, at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// `org/repo`.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Folder within the repository; empty for all of it.
    pub subfolder: String,
    /// Precision of the graphs (`fp16`, `quantized`, …) where there are several; the best otherwise.
    pub variant: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
}

impl HubModel {
    /// Parses what follows `hf://`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (path, variant) = split_variant(text)?;
        let mut parts = path.trim_end_matches('/').split('/');
        let organisation = parts.next().filter(|part| is_name(part)).ok_or("the organisation is missing")?;
        let repository = parts.next().ok_or("the repository is missing")?;
        let (repository, revision) = repository.split_once('@').unwrap_or((repository, DEFAULT_REVISION));
        let subfolder: Vec<&str> = parts.collect();
        if !is_name(repository) || !is_name(revision) || !subfolder.iter().all(|part| is_name(part)) {
            return Err("names must not be empty or start with a dot".to_owned());
        }
        Ok(Self {
            repository: format!("{organisation}/{repository}"),
            // A branch such as refs/pr/1 is written refs%2Fpr%2F1, because / ends the revision.
            revision: revision.replace("%2F", "/"),
            subfolder: subfolder.join("/"),
            variant,
        })
    }

    /// A name for the cache: what decides which files are in the folder.
    fn cache_name(&self, commit: &str) -> String {
        let parts = [Some(commit), Some(self.subfolder.as_str()), self.variant.as_deref()];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).map(flat).collect();
        parts.join("--")
    }
}

/// Also keeps names from climbing out of the cache folder.
fn is_name(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '@', '#'])
}

/// Takes off `?variant=…`.
pub(super) fn split_variant(text: &str) -> Result<(&str, Option<String>), String> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    match query.map(|query| query.split_once('=')) {
        None => Ok((path, None)),
        Some(Some(("variant", variant))) if !variant.is_empty() => Ok((path, Some(variant.to_owned()))),
        Some(_) => Err("after ? only variant=… is understood".to_owned()),
    }
}

fn flat(name: &str) -> String {
    name.replace('/', "--")
}

impl fmt::Display for HubModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "hf://{}@{}", self.repository, self.revision.replace('/', "%2F"))?;
        if !self.subfolder.is_empty() {
            write!(formatter, "/{}", self.subfolder)?;
        }
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "?variant={variant}"))
    }
}

pub(super) async fn fetch(model: &HubModel, options: &FetchOptions) -> Result<Utf8PathBuf, FetchError> {
    let folder = options.cache_folder.join("hub").join(flat(&model.repository));
    // A commit never changes, so what is there needs no network.
    let known = folder.join(model.cache_name(&model.revision));
    if known.is_dir() {
        return Ok(known);
    }
    let endpoint = &options.hub_endpoint;
    let downloader =
        Downloader::new(options.hub_token.clone()).map_err(|error| FetchError::unreachable(endpoint, error))?;
    let listing = match list(&downloader, model, endpoint).await {
        Ok(listing) => listing,
        Err(error) if error.is_transient() => return last_known(&folder, model, error).await,
        Err(error) => return Err(error),
    };
    let target = folder.join(model.cache_name(&listing.sha));
    let _lock = lock(&target).await?;
    if !target.is_dir() {
        let staging = Utf8PathBuf::from(format!("{target}.partial"));
        fetch_files(&downloader, model, &listing, &staging, options).await?;
        fs::rename(&staging, &target).await.map_err(FetchError::storage(&target))?;
    }
    remember(&folder, model, &listing.sha).await?;
    Ok(target)
}

async fn list(downloader: &Downloader, model: &HubModel, endpoint: &Url) -> Result<Listing, FetchError> {
    let path = ["api", "models"].into_iter().chain(model.repository.split('/')).chain(["revision", &model.revision]);
    let url = extend(endpoint, path);
    let listing: Listing = downloader.json(&url).await?;
    let is_commit = !listing.sha.is_empty() && listing.sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit {
        Ok(listing)
    } else {
        Err(FetchError::Listing { url: url.to_string(), reason: format!("its commit is {:?}", listing.sha) })
    }
}

/// Appends path segments, each escaped: a revision's own slashes stay within it.
fn extend<'a>(endpoint: &Url, path: impl Iterator<Item = &'a str>) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

async fn fetch_files(
    downloader: &Downloader,
    model: &HubModel,
    listing: &Listing,
    staging: &Utf8Path,
    options: &FetchOptions,
) -> Result<(), FetchError> {
    let prefix = if model.subfolder.is_empty() { String::new() } else { format!("{}/", model.subfolder) };
    let names = listing.siblings.iter().filter_map(|sibling| sibling.name.strip_prefix(&prefix));
    let names: Vec<String> = names.filter(|name| name.split('/').all(is_name)).map(str::to_owned).collect();
    let selection = layout::select(&model.to_string(), &names, model.variant.as_deref())?;
    let files = Files { downloader, model, commit: &listing.sha, staging, options };
    let spent = files.fetch(&selection.files, 0).await?;
    // What `model.yaml` names beyond itself.
    let further = layout::further_files(&model.to_string(), staging, &selection, &names)?;
    files.fetch(&further, spent).await?;
    Ok(())
}

/// The files of one revision on their way into one folder.
struct Files<'a> {
    downloader: &'a Downloader,
    model: &'a HubModel,
    commit: &'a str,
    staging: &'a Utf8Path,
    options: &'a FetchOptions,
}

impl Files<'_> {
    /// Fetches what isn't there yet: a file gets its name only when it is whole and checked. Gives the bytes so far.
    async fn fetch(&self, names: &[String], mut spent: u64) -> Result<u64, FetchError> {
        for name in names {
            let to = self.staging.join(name);
            if let Ok(there) = fs::metadata(&to).await {
                spent += there.len();
                continue;
            }
            let parent = to.parent().unwrap_or(self.staging);
            fs::create_dir_all(parent).await.map_err(FetchError::storage(parent))?;
            let report =
                |done_bytes, total_bytes| (self.options.progress)(Progress { file: name, done_bytes, total_bytes });
            let max_bytes = self.options.max_bytes.saturating_sub(spent);
            let checksum = self.options.checksums.get(name).copied();
            let download = Download { url: self.url(name), to: &to, checksum, max_bytes, report: &report };
            spent += self.downloader.file(&download).await?;
        }
        Ok(spent)
    }

    /// By commit and not by branch: a push in between must not mix two revisions.
    fn url(&self, name: &str) -> Url {
        let file = self.model.subfolder.split('/').chain(name.split('/')).filter(|part| !part.is_empty());
        let path = self.model.repository.split('/').chain(["resolve", self.commit]).chain(file);
        extend(&self.options.hub_endpoint, path)
    }
}

/// Where the commit that a branch was last seen at is written down.
fn reference(folder: &Utf8Path, model: &HubModel) -> Utf8PathBuf {
    folder.join("refs").join(flat(&model.revision))
}

async fn remember(folder: &Utf8Path, model: &HubModel, commit: &str) -> Result<(), FetchError> {
    let path = reference(folder, model);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).await.map_err(FetchError::storage(parent))?;
    fs::write(&path, commit).await.map_err(FetchError::storage(&path))
}

/// Without the hub, a branch is what it was when we last saw it.
async fn last_known(folder: &Utf8Path, model: &HubModel, error: FetchError) -> Result<Utf8PathBuf, FetchError> {
    let Ok(commit) = fs::read_to_string(reference(folder, model)).await else { return Err(error) };
    let known = folder.join(model.cache_name(commit.trim()));
    if !known.is_dir() {
        return Err(error);
    }
    tracing::warn!(model = %model, %commit, "the model hub is unreachable; using the revision fetched last");
    Ok(known)
}
