//! The record of an image: the one document in the object store from which index and task states can be rebuilt.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{ImageId, Version};

/// What the user says about an image; everything here can be changed later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// Words to filter by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// When the picture was taken (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub captured: Option<Timestamp>,
    /// Anything else: JSON strings, numbers and booleans by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// What the worker found in the bytes. Made at ingest, never an identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageFacts {
    /// Pixels, after the EXIF orientation is applied.
    pub width: u32,
    pub height: u32,
    /// A blurred placeholder of about 25 bytes, base64: <https://evanw.github.io/thumbhash/>.
    pub thumbhash: String,
    /// 64-bit perceptual hash, 16 hexadecimal digits; near-duplicates differ in few bits.
    pub perceptual_hash: String,
    /// Only the part of the image that could be decoded was embedded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Decimal degrees; kept only when `ingest.keep_exif_location` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    /// EXIF date; kept only when `ingest.keep_exif_date` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub exif_date: Option<Timestamp>,
}

/// Everything known of an image that is present: what is stored in its record, indexed beside its vector and returned by searches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageDocument {
    pub image_id: ImageId,
    pub version: Version,
    pub size_bytes: u64,
    /// Sniffed from the bytes, never taken from the client.
    pub content_type: String,
    /// The file name that it came with, without folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was first accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[serde(flatten)]
    pub metadata: Metadata,
    /// Absent until the worker has decoded the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<ImageFacts>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RecordState {
    Present(Box<ImageDocument>),
    /// Kept for ever, so that a late job or a rebuild can't bring the image back.
    Deleted { deleted: Timestamp },
}

/// What the object store keeps of one image id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub image_id: ImageId,
    pub version: Version,
    #[serde(flatten)]
    pub state: RecordState,
}

impl ImageRecord {
    pub fn document(&self) -> Option<&ImageDocument> {
        match &self.state {
            RecordState::Present(document) => Some(document),
            RecordState::Deleted { .. } => None,
        }
    }
}

/// One image that a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Cosine similarity to the query, −1 to 1.
    pub score: f32,
    pub document: ImageDocument,
}
