//! A model in a folder of a bucket, for machines that reach no hub. Somebody else has the credentials and reads it.

use std::fmt::{self, Write as _};

use camino::Utf8PathBuf;

use super::{FetchError, FetchOptions, cache_key, hub::split_variant, remote};

/// A folder of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketModel {
    pub bucket: String,
    /// Path of the folder; empty for the whole bucket.
    pub folder: String,
    /// Precision of the graphs (`fp16`, `quantized`, …) where there are several; the best otherwise.
    pub variant: Option<String>,
}

impl BucketModel {
    /// Parses what follows `s3://`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (path, variant) = split_variant(text)?;
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            return Err("the bucket is missing".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), folder: folder.trim_matches('/').to_owned(), variant })
    }

    /// Without the variant, which is no part of it.
    fn place(&self) -> String {
        let separator = if self.folder.is_empty() { "" } else { "/" };
        format!("s3://{}{separator}{}", self.bucket, self.folder)
    }
}

impl fmt::Display for BucketModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place())?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "?variant={variant}"))
    }
}

pub(super) async fn fetch(model: &BucketModel, options: &FetchOptions) -> Result<Utf8PathBuf, FetchError> {
    let (place, variant) = (model.place(), model.variant.as_deref());
    let remote = options.bucket.as_deref().ok_or_else(|| FetchError::NoBucket { url: place.clone() })?;
    let mut files = remote.list().await.map_err(|source| FetchError::Remote { file: place.clone(), source })?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    // Another state of the folder is another model.
    let mut state = model.to_string();
    for file in &files {
        let _ = write!(state, "\n{} {}", file.path, file.version);
    }
    let target = options.cache_folder.join("buckets").join(cache_key(&state));
    remote::copy(&place, remote, &files, variant, &target, options).await?;
    Ok(target)
}
