//! The record of an image: the one document in the object store from which index and task states can be rebuilt.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id::{CopyId, ImageId, Version},
    task::TaskFailure,
};

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
    /// Decimal degrees; kept only when `ingestworker.keep_exif_location` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    /// EXIF date; kept only when `ingestworker.keep_exif_date` says so.
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

// The content has a name of its own in JSON: flattened, its `image_id` and `version` would stand there twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", content = "content", rename_all = "snake_case")]
pub enum RecordState {
    Present(Box<ImageDocument>),
    /// Kept for ever, so that a late job or a rebuild can't bring the image back.
    Deleted {
        deleted: Timestamp,
    },
}

/// What the object store keeps of one image id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub image_id: ImageId,
    pub version: Version,
    /// The stored copy of the bytes; in a deleted record, the one that is to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<CopyId>,
    /// Why this version is not in the index and nobody tries again; a new upload clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<TaskFailure>,
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

    /// What should stand beside the image's vector; `None` when the index should have none.
    pub fn searchable(&self) -> Option<&ImageDocument> {
        self.document().filter(|_| self.failure.is_none())
    }
}

/// One image that a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Cosine similarity to the query, −1 to 1.
    pub score: f32,
    pub document: ImageDocument,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present() -> ImageRecord {
        let image_id = ImageId::of(b"foo");
        let document = ImageDocument {
            image_id,
            version: Version(7),
            size_bytes: 3,
            content_type: "image/png".into(),
            name: Some("キリン.png".into()),
            created: Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                tags: vec!["zoo".into()],
                captured: Some(Timestamp::UNIX_EPOCH),
                ..Metadata::default()
            },
            facts: None,
        };
        let state = RecordState::Present(Box::new(document));
        ImageRecord { image_id, version: Version(7), original: Some(CopyId::new()), failure: None, state }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let deleted = ImageRecord { state: RecordState::Deleted { deleted: Timestamp::UNIX_EPOCH }, ..present() };
        for record in [present(), deleted] {
            let json = serde_json::to_string(&record).expect("serializes");
            assert_eq!(json.matches("\"version\":7").count(), usize::from(record.document().is_some()) + 1);
            assert_eq!(serde_json::from_str::<ImageRecord>(&json).expect("parses"), record);
        }
    }
}
