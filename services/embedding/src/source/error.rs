//! What can go wrong between naming a model and having it in the cache.

use std::io;

use camino::Utf8PathBuf;
use url::Url;

use super::remote::RemoteError;
use crate::{bundle::BundleError, checksum::Checksum};

/// A model that could not be fetched. URLs are shown without credentials and query.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("cannot reach {url}; check the address and the network")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} was cut off after {received_bytes} bytes; fetch the model again to go on from there")]
    Interrupted { url: String, received_bytes: u64 },
    #[error("{url} answered with status {status}; try again later")]
    Status { url: String, status: u16 },
    #[error("{url} does not exist; check the name, the revision and the subfolder")]
    NotFound { url: String },
    #[error(
        "{url} refused access (status {status}); set HF_TOKEN to a token that may read the model, or check the credentials"
    )]
    Denied { url: String, status: u16 },
    #[error("{url} redirects without an end")]
    Redirects { url: String },
    #[error("{url} is larger than the limit of {limit_bytes} bytes; raise the limit if it is the right model")]
    TooLarge { url: String, limit_bytes: u64 },
    #[error(
        "{url} does not match its checksum: expected {expected}, found {found}; it was changed or damaged on the way, or \
         another one is meant"
    )]
    Checksum { url: String, expected: Checksum, found: Checksum },
    #[error("{url} answered something that is not a model hub's listing: {reason}")]
    Listing { url: String, reason: String },
    #[error("{file} cannot be read")]
    Remote {
        file: String,
        #[source]
        source: RemoteError,
    },
    #[error("{url} is read with the address and the credentials of `objects`; set objects.type to s3")]
    NoBucket { url: String },
    #[error("archive {archive} cannot be unpacked: {reason}")]
    Archive { archive: String, reason: String },
    #[error("cannot write {path}")]
    Storage {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl FetchError {
    pub(super) fn unreachable(url: &Url, source: reqwest::Error) -> Self {
        Self::Unreachable { url: shown(url), source: source.without_url() }
    }

    /// An answer that isn't the file.
    pub(super) fn status(url: &Url, status: reqwest::StatusCode) -> Self {
        let (url, status) = (shown(url), status.as_u16());
        match status {
            401 | 403 => Self::Denied { url, status },
            404 | 410 => Self::NotFound { url },
            _ => Self::Status { url, status },
        }
    }

    pub(super) fn storage(path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { path, source }
    }

    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Remote { .. } => true,
            Self::Status { status, .. } => *status >= 500 || [408, 425, 429].contains(status),
            _ => false,
        }
    }
}

/// A URL as it may be shown: storage signs its addresses in the query, and some carry passwords.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Only a URL without a host refuses these, and it has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
