//! Where a model comes from, and how it gets into the cache folder: whole and checked, or not at all.

mod archive;
mod bucket;
mod download;
mod error;
mod hub;
mod remote;
mod unpack;

use std::{fmt, fs::File, str::FromStr, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use url::Url;

pub use self::{
    bucket::BucketModel,
    error::FetchError,
    hub::HubModel,
    remote::{RemoteBytes, RemoteError, RemoteFile, RemoteFiles, copy},
};
use crate::checksum::{Checksum, FileChecksums};

/// Digits of a cache folder's name.
const KEY_DIGITS: usize = 32;

/// What a user writes to say which model is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine, used where it is.
    Folder(Utf8PathBuf),
    /// `https://host/model.tar.zst#sha256=…`: a tar, tar.gz, tar.zst or zip; the checksum is optional.
    Archive { url: Url, checksum: Option<Checksum> },
    /// `hf://org/repo@revision/subfolder?variant=fp16`; all but `org/repo` is optional.
    Hub(HubModel),
    /// `s3://bucket/folder?variant=fp16`; all but the bucket is optional.
    Bucket(BucketModel),
}

/// A text that names no source of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a model source: {reason}; give a folder, https://host/archive[#sha256=…], \
     hf://org/repo[@revision][/subfolder][?variant=…] or s3://bucket[/folder][?variant=…]"
)]
pub struct InvalidSource {
    text: String,
    reason: String,
}

/// One checksum was given for a source that is no single file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model.sha256 is one checksum, but {0} is no archive; give one for each file, as a mapping")]
pub struct NoArchive(pub String);

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let invalid = |reason: String| InvalidSource { text: shown(text).chars().take(200).collect(), reason };
        match text.split_once("://") {
            Some(("hf", rest)) => HubModel::parse(rest).map(Self::Hub).map_err(invalid),
            Some(("s3", rest)) => BucketModel::parse(rest).map(Self::Bucket).map_err(invalid),
            Some(("http" | "https", _)) => parse_archive(text).map_err(invalid),
            Some((scheme, _)) => Err(invalid(format!("{scheme}:// is not supported"))),
            None if text.trim().is_empty() => Err(invalid("it is empty".to_owned())),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

/// A source as it may be shown and logged, whether or not it can be used: a URL can have credentials in it.
pub fn shown(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => error::shown(&url),
        _ => text.to_owned(),
    }
}

fn parse_archive(text: &str) -> Result<Source, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    let checksum = match url.fragment() {
        None => None,
        Some(fragment) => {
            let digits = fragment.strip_prefix("sha256=").ok_or("after # only sha256=… is understood")?;
            Some(digits.parse().map_err(|error: crate::checksum::InvalidChecksum| error.to_string())?)
        }
    };
    url.set_fragment(None);
    Ok(Source::Archive { url, checksum })
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.fmt(formatter),
            Self::Archive { url, checksum: None } => url.fmt(formatter),
            Self::Archive { url, checksum: Some(checksum) } => write!(formatter, "{url}#sha256={checksum}"),
            Self::Hub(model) => model.fmt(formatter),
            Self::Bucket(model) => model.fmt(formatter),
        }
    }
}

/// How much of a file has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Its path within the model, or the archive's URL.
    pub file: &'a str,
    pub done_bytes: u64,
    /// Unknown where the server doesn't say.
    pub total_bytes: Option<u64>,
}

/// Where to fetch to, and as whom.
#[derive(Clone)]
pub struct FetchOptions {
    /// Models are kept below it, one folder each; a later fetch of the same source finds it there.
    pub cache_folder: Utf8PathBuf,
    /// The hub, for `hf://` (`HF_ENDPOINT`).
    pub hub_endpoint: Url,
    /// Sent to the hub and to nobody else (`HF_TOKEN`).
    pub hub_token: Option<String>,
    /// The folder that an `s3://` source names, opened by who has the credentials.
    pub bucket: Option<Arc<dyn RemoteFiles>>,
    /// What files of the model have to be; those of an archive are looked at when it is unpacked.
    pub checksums: FileChecksums,
    /// Most bytes of a model: downloaded, and again unpacked.
    pub max_bytes: u64,
    /// Called as bytes arrive; it must not block.
    pub progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl FetchOptions {
    /// The public hub, nobody's token, at most 32 GiB, no progress.
    pub fn new(cache_folder: impl Into<Utf8PathBuf>) -> Self {
        Self {
            cache_folder: cache_folder.into(),
            hub_endpoint: Url::parse("https://huggingface.co").expect("a constant URL"),
            hub_token: None,
            bucket: None,
            checksums: FileChecksums::new(),
            max_bytes: 32 << 30,
            progress: Arc::new(|_| ()),
        }
    }
}

impl Source {
    /// The same source, with the checksum that its archive must have; it replaces one in the text.
    ///
    /// # Errors
    /// For others, which are no single file.
    pub fn expect(self, checksum: Checksum) -> Result<Self, NoArchive> {
        match self {
            Self::Archive { url, .. } => Ok(Self::Archive { url, checksum: Some(checksum) }),
            other => Err(NoArchive(other.to_string())),
        }
    }

    /// Brings the model to this machine and gives its folder, for [`crate::Bundle::open`]. What is in the cache is not
    /// fetched again; what was cut off goes on where it stopped. Processes that want the same model wait for each other.
    pub async fn fetch(&self, options: &FetchOptions) -> Result<Utf8PathBuf, FetchError> {
        match self {
            Self::Folder(path) => Ok(path.clone()),
            Self::Archive { url, checksum } => archive::fetch(url, *checksum, options).await,
            Self::Hub(model) => hub::fetch(model, options).await,
            Self::Bucket(model) => bucket::fetch(model, options).await,
        }
    }

    /// Whether it is elsewhere; a folder is used where it is.
    pub fn is_fetched(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// The source as it may be shown and written down: without credentials.
    pub fn shown(&self) -> String {
        match self {
            Self::Archive { url, .. } => error::shown(url),
            other => other.to_string(),
        }
    }

    /// The precision that is wanted where the source has several, for [`crate::Bundle::open_variant`].
    pub fn variant(&self) -> Option<&str> {
        match self {
            Self::Hub(model) => model.variant.as_deref(),
            Self::Bucket(model) => model.variant.as_deref(),
            Self::Folder(_) | Self::Archive { .. } => None,
        }
    }
}

/// A name for a folder that holds this state of a source.
fn cache_key(state: &str) -> String {
    let mut key = Checksum::of(state.as_bytes()).to_string();
    key.truncate(KEY_DIGITS);
    key
}

/// Keeps other processes from fetching to `target` until it is dropped; the kernel frees it also when we die.
async fn lock(target: &Utf8Path) -> Result<File, FetchError> {
    let path = Utf8PathBuf::from(format!("{target}.lock"));
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(FetchError::storage(parent))?;
    }
    let take = {
        let path = path.clone();
        move || File::create(path).and_then(|file| file.lock().map(|()| file))
    };
    crate::embedder::off_thread(take).await.map_err(FetchError::storage(path))
}
