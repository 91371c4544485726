//! Durable bytes by key. The truth: index and task states can be rebuilt from what is here.

#[cfg(test)]
pub(crate) mod conformance;
pub mod folder;
pub(crate) mod hot;
#[cfg(test)]
pub(crate) mod memory;
pub mod s3;

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;

/// A path of `/`-separated segments of `[a-z0-9._-]`, none of them empty or beginning with a dot. No key goes on where
/// another one ends: beside `a/b` there is no `a/b/c`, so that a folder can hold them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub key: ObjectKey,
    pub size_bytes: u64,
    /// Changes whenever the bytes do.
    pub etag: ETag,
    pub modified: Timestamp,
}

/// What must hold for a put to happen; checked and done as one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCondition {
    None,
    Absent,
    Matches(ETag),
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("{0:?} is not an object key")]
    InvalidKey(String),
    #[error("object {0} changed meanwhile")]
    Precondition(ObjectKey),
    /// Nothing of what was being written is left behind.
    #[error("no space left in the object store for {0}; free some and try again")]
    Full(String),
    #[error("object {key} has {size_bytes} bytes, more than the {limit_bytes} expected here")]
    TooLarge { key: ObjectKey, size_bytes: u64, limit_bytes: u64 },
    /// Worth another try: the store is away, slow or refusing for now.
    #[error("object store is not available: {context}")]
    Unavailable {
        context: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub type ObjectStream = BoxStream<'static, Result<Bytes, ObjectError>>;

#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Starts an object whose key is not known yet. Dropping it leaves nothing behind.
    async fn stage(&self) -> Result<Box<dyn StagedObject>, ObjectError>;

    /// Writes a small object. Once this returns, it survives a loss of power.
    ///
    /// # Errors
    /// `Precondition` when `condition` does not hold: nothing is changed then.
    async fn put(&self, key: &ObjectKey, bytes: Bytes, condition: PutCondition) -> Result<ETag, ObjectError>;

    /// Reads a whole object of at most `limit_bytes`.
    async fn get(&self, key: &ObjectKey, limit_bytes: u64) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError>;

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError>;

    /// Streams an object, or the bytes of it in `range` (which must lie inside). A replacement meanwhile doesn't mix in.
    async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError>;

    /// Removes an object; false when there was none.
    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError>;

    /// All objects below the folder `prefix` (`""`, or whole segments without a closing `/`), in the order of their keys,
    /// after `start_after`. What changes meanwhile may be seen or not; everything else is seen once.
    /// Bounded in memory, whatever the number of objects.
    fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
    ) -> BoxStream<'static, Result<ObjectInfo, ObjectError>>;

    /// Answers when the store can be read and written.
    async fn ready(&self) -> Result<(), ObjectError>;
}

/// An object on its way in.
#[async_trait]
pub trait StagedObject: Send {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError>;

    /// Gives it its key, durably. An object that is there already is replaced.
    async fn commit(self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError>;
}

impl ObjectKey {
    pub fn new(text: impl Into<String>) -> Result<Self, ObjectError> {
        let text = text.into();
        let segment_is_valid = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
        };
        if text.len() <= 512 && text.split('/').all(segment_is_valid) {
            Ok(Self(text))
        } else {
            Err(ObjectError::InvalidKey(text))
        }
    }

    /// A key that is valid by how it was made.
    pub(crate) fn known(text: String) -> Self {
        debug_assert!(Self::new(text.as_str()).is_ok(), "{text:?} is not an object key");
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
