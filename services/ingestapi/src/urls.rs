//! Lists of URLs, as one JSON document or as one JSON line each.

use backends::metadata::{self, MetadataError};
use serde::Deserialize;
use shared::Metadata;
use url::Url;
use utoipa::ToSchema;

/// The longest URL that is taken, in bytes.
const MAX_URL_BYTES: usize = 8192;

/// Images to fetch; `metadata` is that of each.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UrlList {
    #[schema(min_items = 1, value_type = Vec<String>, example = json!(["https://example.org/giraffe.jpg"]))]
    pub urls: Vec<String>,
    #[serde(default)]
    pub metadata: Metadata,
}

/// One line of a bulk list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkLine {
    #[schema(example = "https://example.org/giraffe.jpg")]
    pub url: String,
    #[serde(default)]
    pub metadata: Metadata,
}

/// An image to fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct UrlItem {
    pub url: Url,
    pub metadata: Metadata,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidItem {
    #[error("{text:?} is no URL: {source}")]
    Url {
        text: String,
        #[source]
        source: url::ParseError,
    },
    #[error("{0:?} can't be fetched: only http and https URLs can")]
    Scheme(String),
    #[error("the URL on {0} carries a user name or password; URLs are stored and shown, so it is not taken")]
    Credentials(String),
    #[error("the URL has more than {MAX_URL_BYTES} bytes")]
    TooLong,
    #[error("the line is not JSON as it is taken here: {0}")]
    Line(serde_json::Error),
    #[error("the line has more than {limit} bytes")]
    LineTooLong { limit: usize },
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl UrlItem {
    /// Refuses what the worker would refuse for good. Where the URL leads is checked when it is fetched.
    pub fn new(text: &str, metadata: Metadata) -> Result<Self, InvalidItem> {
        let text = text.trim();
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidItem::TooLong);
        }
        let shown = || text.chars().take(200).collect::<String>();
        let url = Url::parse(text).map_err(|source| InvalidItem::Url { text: shown(), source })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidItem::Scheme(shown()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidItem::Credentials(url.host_str().unwrap_or_default().to_owned()));
        }
        Ok(Self { url, metadata })
    }

    /// Reads one line of a bulk list.
    pub fn from_line(line: &[u8]) -> Result<Self, InvalidItem> {
        let line: BulkLine = serde_json::from_slice(line).map_err(InvalidItem::Line)?;
        metadata::validate(&line.metadata)?;
        Self::new(&line.url, line.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_never_be_fetched_are_refused_at_once() {
        for text in [
            "",
            "giraffe.jpg",
            "file:///etc/passwd",
            "ftp://example.org/a.jpg",
            "data:image/png;base64,AA",
            "https://me:secret@example.org/",
        ] {
            let error = UrlItem::new(text, Metadata::default()).expect_err(text).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(UrlItem::new(" https://例え.jp/キリン.jpg ", Metadata::default()).is_ok());
    }

    #[test]
    fn a_bulk_line_says_what_is_wrong_with_it() {
        assert!(UrlItem::from_line(br#"{"url": "https://example.org/a.jpg", "metadata": {"tags": ["zoo"]}}"#).is_ok());
        for (line, named) in
            [("{", "JSON"), (r#"{"link": "https://example.org"}"#, "link"), (r#"{"url": "nowhere"}"#, "nowhere")]
        {
            let error = UrlItem::from_line(line.as_bytes()).expect_err(line).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
