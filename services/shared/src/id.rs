//! Identities: what an image, a version of it, a task, a model and a store are called.
//! Each is a type of its own, so that one can't be passed for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

/// A text that is not the identity it was parsed as.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

/// The SHA-256 of an image's bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$", example = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
pub struct ImageId([u8; 32]);

impl ImageId {
    /// The identity of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The identity whose SHA-256 digest is already known.
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for ImageId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid =
            || InvalidId { text: text.chars().take(80).collect(), expected: "an image id (64 hexadecimal digits)" };
        // Upper case is refused: one image has one name, so that caches and keys agree.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| invalid())?;
        Ok(Self(digest))
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ImageId({})", hex::encode(&self.0[..6]))
    }
}

/// Orders everything that ever happened to one image: the highest version wins everywhere.
///
/// A hybrid logical clock: microseconds since 1970, but always above the version before it, so that it grows even when
/// the clock steps back. It fits the 53 bits that JSON numbers keep exactly.
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = u64)]
pub struct Version(pub u64);

impl Version {
    /// The version of a change made now to something whose last version was `previous`.
    pub fn after(previous: Option<Version>) -> Self {
        let now_us = jiff::Timestamp::now().as_microsecond().max(0) as u64;
        Self(previous.map_or(now_us, |version| now_us.max(version.0 + 1)))
    }
}

/// One accepted piece of work on one image. Time-ordered (UUID version 7), so lists sort by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "uuid")]
pub struct TaskId(pub Uuid);

impl TaskId {
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for TaskId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for TaskId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| InvalidId { text: text.chars().take(80).collect(), expected: "a task id (a UUID)" })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Names a model by what it computes: a SHA-256 over its graphs, tokenizer and preprocessing, the first 16 hexadecimal digits.
/// It names the collection, so vectors of two models never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
pub struct ModelFingerprint(pub String);

impl fmt::Display for ModelFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Names one object store for ever. A collection carries it, so that an index that belongs to another store is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub Uuid);

impl fmt::Display for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Names one stored copy of an image's bytes. Every upload stores under a name of its own that is never used again, so
/// that whoever removes a copy can't remove the one that a later upload brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CopyId(Uuid);

impl CopyId {
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for CopyId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for CopyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid =
            || InvalidId { text: text.chars().take(80).collect(), expected: "a copy's name (32 hexadecimal digits)" };
        let copy = Uuid::try_parse(text).map(Self).map_err(|_| invalid())?;
        // One spelling, so that a key can be made from the name again.
        if copy.to_string() == text { Ok(copy) } else { Err(invalid()) }
    }
}

impl fmt::Display for CopyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(formatter)
    }
}

impl Serialize for ImageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_id_is_the_sha256_of_the_bytes() {
        let id = ImageId::of(b"foo");
        assert_eq!(id.to_string(), "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<ImageId>().is_err());
        assert!("2c26".parse::<ImageId>().is_err());
    }

    #[test]
    fn a_version_grows_even_when_the_clock_steps_back() {
        let future = Version(u64::MAX >> 12);
        assert_eq!(Version::after(Some(future)), Version(future.0 + 1));
        assert!(Version::after(None) < future);
    }
}
