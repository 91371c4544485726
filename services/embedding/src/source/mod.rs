//! Where a model comes from, and how it gets into the cache folder: whole and checked, or not at all.

mod archive;
mod download;
mod error;
mod hub;
mod unpack;

use std::{fmt, fs::File, str::FromStr, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use url::Url;

pub use self::error::FetchError;
pub use self::hub::HubModel;
use crate::checksum::Checksum;

/// What a user writes to say which model is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine, used where it is.
    Folder(Utf8PathBuf),
    /// `https://host/model.tar.zst#sha256=…`: a tar, tar.gz, tar.zst or zip; the checksum is optional.
    Archive { url: Url, checksum: Option<Checksum> },
    /// `hf://org/repo@revision/subfolder?variant=fp16`; all but `org/repo` is optional.
    Hub(HubModel),
}

/// A text that names no source of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a model source: {reason}; give a folder, https://host/archive[#sha256=…] or \
     hf://org/repo[@revision][/subfolder][?variant=…]"
)]
pub struct InvalidSource {
    text: String,
    reason: String,
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let invalid = |reason: String| InvalidSource { text: text.chars().take(200).collect(), reason };
        match text.split_once("://") {
            Some(("hf", rest)) => HubModel::parse(rest).map(Self::Hub).map_err(invalid),
            Some(("http" | "https", _)) => parse_archive(text).map_err(invalid),
            Some((scheme, _)) => Err(invalid(format!("{scheme}:// is not supported"))),
            None if text.trim().is_empty() => Err(invalid("it is empty".to_owned())),
            None => Ok(Self::Folder(text.into())),
        }
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
            max_bytes: 32 << 30,
            progress: Arc::new(|_| ()),
        }
    }
}

impl Source {
    /// The same source, with the checksum that its archive must have; it replaces one in the text.
    ///
    /// # Errors
    /// For a folder or a hub: a folder's `model.yaml` has checksums of its own, a hub's commit is one.
    pub fn expect(self, checksum: Checksum) -> Result<Self, InvalidSource> {
        match self {
            Self::Archive { url, .. } => Ok(Self::Archive { url, checksum: Some(checksum) }),
            other => {
                Err(InvalidSource { text: other.to_string(), reason: "only an archive has a checksum".to_owned() })
            }
        }
    }

    /// Brings the model to this machine and gives its folder, for [`crate::Bundle::open`]. What is in the cache is not
    /// fetched again; what was cut off goes on where it stopped. Processes that want the same model wait for each other.
    pub async fn fetch(&self, options: &FetchOptions) -> Result<Utf8PathBuf, FetchError> {
        match self {
            Self::Folder(path) => Ok(path.clone()),
            Self::Archive { url, checksum } => archive::fetch(url, *checksum, options).await,
            Self::Hub(model) => hub::fetch(model, options).await,
        }
    }

    /// The precision that is wanted where the source has several, for [`crate::Bundle::open_variant`].
    pub fn variant(&self) -> Option<&str> {
        match self {
            Self::Hub(model) => model.variant.as_deref(),
            Self::Folder(_) | Self::Archive { .. } => None,
        }
    }
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
