//! What searches and lists answer with.

use serde::Serialize;
use shared::{Hit, ImageDocument, ImageId, ModelFingerprint};
use utoipa::ToSchema;

use crate::{
    relevance::Scale,
    search::{Matches, Search, Window},
};

/// An image that is indexed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Image {
    #[serde(flatten)]
    document: ImageDocument,
    /// Path of the original on this origin.
    #[schema(example = "/images/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    url: String,
}

/// An image that a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResult {
    #[serde(flatten)]
    image: Image,
    /// Cosine similarity to the query, −1 to 1. Comparable within one model only.
    score: f32,
    /// How relevant that is, 0 to 1, comparable between models: above 0.5, it is unlikely to be chance. Absent until the
    /// scores of the model were measured, which takes 16 indexed images.
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance: Option<f32>,
}

/// The model that embedded the query and the results.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelName {
    name: String,
    fingerprint: ModelFingerprint,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchPage {
    /// Best first.
    results: Vec<SearchResult>,
    limit: usize,
    offset: usize,
    model: ModelName,
    /// Time from the query to its results, in milliseconds.
    took_ms: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagePage {
    images: Vec<Image>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Images that pass the filter.
    total: u64,
}

impl From<ImageDocument> for Image {
    fn from(document: ImageDocument) -> Self {
        Self { url: image_url(document.image_id), document }
    }
}

impl SearchResult {
    fn new(hit: Hit, scale: Option<Scale>) -> Self {
        let relevance = scale.map(|scale| scale.relevance(hit.score));
        Self { image: hit.document.into(), score: hit.score, relevance }
    }
}

impl SearchPage {
    pub(crate) fn new(matches: Matches, window: &Window, search: &Search) -> Self {
        let (embedder, scale) = (search.embedder(), matches.scale);
        Self {
            results: matches.hits.into_iter().map(|hit| SearchResult::new(hit, scale)).collect(),
            limit: window.limit,
            offset: window.offset,
            model: ModelName { name: embedder.name().to_owned(), fingerprint: embedder.fingerprint().clone() },
            took_ms: matches.took_ms,
        }
    }
}

impl ImagePage {
    pub(crate) fn new(documents: Vec<ImageDocument>, next_cursor: Option<String>, total: u64) -> Self {
        Self { images: documents.into_iter().map(Image::from).collect(), next_cursor, total }
    }
}

/// Where the original of an image is served, on any origin that `cdnapi` stands behind.
fn image_url(image_id: ImageId) -> String {
    format!("/images/{image_id}")
}
