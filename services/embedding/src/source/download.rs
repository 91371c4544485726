//! One file over HTTP: redirects followed by hand, so that a token goes to its own host only; resumed after a cut;
//! counted while it streams; checked, synced and renamed into place at the end.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use camino::{Utf8Path, Utf8PathBuf};
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LOCATION, RANGE},
    redirect,
};
use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt,
};
use url::Url;

use super::{FetchError, error::shown};
use crate::{checksum::Checksum, embedder::off_thread};

const MAX_REDIRECTS: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a byte for this long, the connection is dead.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Tries after the first one that got nothing new; a try that got bytes counts as a fresh start.
const MAX_RETRIES: usize = 4;
/// The largest repositories have some ten thousand files, 100 bytes each in a listing.
const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// A hub's word on large files, given before it redirects to storage.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");

/// Fetches files; one connection pool for all of a model's.
pub(super) struct Downloader {
    client: Client,
    /// Sent only where the first URL points.
    token: Option<String>,
}

/// One file to fetch.
pub(super) struct Download<'a> {
    pub(super) url: Url,
    pub(super) to: &'a Utf8Path,
    /// What the user says it is; a hub's word is taken in addition.
    pub(super) checksum: Option<Checksum>,
    pub(super) max_bytes: u64,
    /// Bytes here so far, and of all where known.
    pub(super) report: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

/// The unfinished file and what the server called that state of it.
struct Partial {
    path: Utf8PathBuf,
    validator_path: Utf8PathBuf,
}

/// Where to go on, and the validator that must still hold.
struct Resume {
    offset: u64,
    validator: String,
}

impl Downloader {
    pub(super) fn new(token: Option<String>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("imagesearch/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, token })
    }

    /// Fetches a small JSON document.
    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, url: &Url) -> Result<T, FetchError> {
        let get = async || {
            let (mut response, _) = self.follow(url, None).await?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::status(url, response.status()));
            }
            let mut document = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| FetchError::unreachable(url, error))? {
                document.extend_from_slice(&chunk);
                if document.len() > MAX_DOCUMENT_BYTES {
                    return Err(FetchError::TooLarge { url: shown(url), limit_bytes: MAX_DOCUMENT_BYTES as u64 });
                }
            }
            Ok(document)
        };
        let bytes = get.retry(backoff()).when(FetchError::is_transient).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| FetchError::Listing { url: shown(url), reason: error.to_string() })
    }

    /// Fetches a file; afterwards it is at `to`, whole. Gives its size in bytes.
    pub(super) async fn file(&self, download: &Download<'_>) -> Result<u64, FetchError> {
        let partial = Partial::beside(download.to);
        let promised = self.receive(download, &partial).await?;
        let path = partial.path.clone();
        let found = off_thread(move || Checksum::of_file(&path)).await.map_err(FetchError::storage(&partial.path))?;
        for expected in [download.checksum, promised].into_iter().flatten() {
            if found != expected {
                // Going on from damaged bytes would fail for ever.
                partial.discard().await?;
                return Err(FetchError::Checksum { url: shown(&download.url), expected, found });
            }
        }
        fs::rename(&partial.path, download.to).await.map_err(FetchError::storage(download.to))?;
        partial.discard().await?;
        fs::metadata(download.to).await.map(|metadata| metadata.len()).map_err(FetchError::storage(download.to))
    }

    /// Tries until all bytes are in the partial file. Gives the checksum that the server promised, if it did.
    async fn receive(&self, download: &Download<'_>, partial: &Partial) -> Result<Option<Checksum>, FetchError> {
        loop {
            let before = partial.length().await;
            let try_once = async || self.attempt(download, partial).await;
            let outcome = try_once.retry(backoff()).when(FetchError::is_transient).await;
            match outcome {
                Err(error) if error.is_transient() && partial.length().await > before => {
                    tracing::warn!(url = shown(&download.url), "download was cut off, going on");
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self, download: &Download<'_>, partial: &Partial) -> Result<Option<Checksum>, FetchError> {
        let resume = partial.resume().await;
        let (response, promised) = self.follow(&download.url, resume.as_ref()).await?;
        let offset = match (response.status(), &resume) {
            (StatusCode::OK, _) => 0,
            (StatusCode::PARTIAL_CONTENT, Some(resume)) if starts_at(response.headers(), resume.offset) => {
                resume.offset
            }
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT, _) => {
                partial.discard().await?;
                return Err(FetchError::Interrupted { url: shown(&download.url), received_bytes: 0 });
            }
            (status, _) => return Err(FetchError::status(&download.url, status)),
        };
        partial.remember(response.headers()).await?;
        save(download, partial, response, offset).await?;
        Ok(promised)
    }

    /// Follows redirects. Gives the last answer, and the SHA-256 that a hub named on the way.
    async fn follow(&self, url: &Url, resume: Option<&Resume>) -> Result<(Response, Option<Checksum>), FetchError> {
        let mut at = url.clone();
        let mut promised = None;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(at.clone());
            if let Some(token) = self.token.as_ref().filter(|_| at.origin() == url.origin()) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(resume) = resume {
                request =
                    request.header(RANGE, format!("bytes={}-", resume.offset)).header(IF_RANGE, &resume.validator);
            }
            let response = request.send().await.map_err(|error| FetchError::unreachable(&at, error))?;
            promised = promised.or_else(|| promised_checksum(response.headers()));
            if !response.status().is_redirection() {
                return Ok((response, promised));
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| at.join(location).ok());
            at = next.ok_or_else(|| FetchError::status(&at, response.status()))?;
        }
        Err(FetchError::Redirects { url: shown(url) })
    }
}

pub(super) fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_jitter().with_max_times(MAX_RETRIES)
}

/// Streams the body to the end of the first `offset` bytes.
async fn save(
    download: &Download<'_>,
    partial: &Partial,
    mut response: Response,
    offset: u64,
) -> Result<(), FetchError> {
    let storage = || FetchError::storage(&partial.path);
    let url = || shown(&download.url);
    let total = response.content_length().map(|rest| offset + rest);
    let too_large = || FetchError::TooLarge { url: url(), limit_bytes: download.max_bytes };
    if total.is_some_and(|total| total > download.max_bytes) {
        return Err(too_large());
    }
    let mut file = partial.open(offset).await?;
    let mut done = offset;
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(_) => {
                // What arrived counts, so it must be in the file before the next try looks at its length.
                file.flush().await.map_err(storage())?;
                return Err(FetchError::Interrupted { url: url(), received_bytes: done });
            }
        };
        done += chunk.len() as u64;
        if done > download.max_bytes {
            partial.discard().await?;
            return Err(too_large());
        }
        file.write_all(&chunk).await.map_err(storage())?;
        (download.report)(done, total);
    }
    file.flush().await.map_err(storage())?;
    file.sync_all().await.map_err(storage())
}

/// `X-Linked-Etag` of a large file is its SHA-256; small files have a git hash there, which promises nothing to us.
fn promised_checksum(headers: &HeaderMap) -> Option<Checksum> {
    headers.get(LINKED_ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}

fn starts_at(headers: &HeaderMap, offset: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

impl Partial {
    fn beside(target: &Utf8Path) -> Self {
        Self { path: format!("{target}.part").into(), validator_path: format!("{target}.part.etag").into() }
    }

    async fn length(&self) -> u64 {
        fs::metadata(&self.path).await.map_or(0, |metadata| metadata.len())
    }

    /// `None` starts over: nothing is there, or nobody could say whether it is still a part of the same file.
    async fn resume(&self) -> Option<Resume> {
        let offset = self.length().await;
        let validator =
            fs::read_to_string(&self.validator_path).await.ok().filter(|validator| !validator.is_empty())?;
        (offset > 0).then_some(Resume { offset, validator })
    }

    /// Keeps the state's name before its first byte; `If-Range` takes only strong ones.
    async fn remember(&self, headers: &HeaderMap) -> Result<(), FetchError> {
        let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).filter(|etag| !etag.starts_with("W/"));
        fs::write(&self.validator_path, etag.unwrap_or_default())
            .await
            .map_err(FetchError::storage(&self.validator_path))
    }

    async fn open(&self, offset: u64) -> Result<File, FetchError> {
        let mut options = OpenOptions::new();
        if offset == 0 {
            options.create(true).write(true).truncate(true)
        } else {
            options.append(true)
        };
        options.open(&self.path).await.map_err(FetchError::storage(&self.path))
    }

    async fn discard(&self) -> Result<(), FetchError> {
        for path in [&self.path, &self.validator_path] {
            match fs::remove_file(path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(FetchError::storage(path)(error));
                }
                _ => (),
            }
        }
        Ok(())
    }
}
