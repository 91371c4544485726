//! What a search is: a query becomes a vector, the vector's neighbours become results.
//! Knows nothing of HTTP.

use std::{sync::Arc, time::Instant};

use backends::{
    availability::Availability,
    calibration,
    index::{Collection, DocumentPage, IndexError, ListQuery, Point, SEARCH_WINDOW, SearchQuery, VectorIndex},
    objects::ObjectStore,
};
use bytes::Bytes;
use embedding::{EmbedError, Embedder};
use shared::{
    Hit, ImageDocument, ImageId,
    filter::{Field, Filter, Operator, Value},
    metrics::{
        limit::Circuit,
        query::{self, Input},
    },
};

use crate::{
    latest::{Latest, NotRead},
    relevance::{Scale, Shares},
};

/// How a text and a picture are mixed when nothing is said: even parts.
pub const DEFAULT_TEXT_WEIGHT: f32 = 0.5;

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the text is empty; say what the images should show")]
    EmptyText,
    #[error("give a text, a picture or an image_id to search by")]
    EmptyQuery,
    #[error("text_weight must lie between 0 and 1, not {0}")]
    TextWeight(f32),
    #[error("limit must lie between 1 and {max}, not {limit}")]
    Limit { limit: usize, max: usize },
    #[error("min_relevance must lie between 0 and 1, not {0}")]
    MinRelevance(f32),
    #[error(
        "the scores of this model were not measured yet, which takes {least} indexed images; search without \
         min_relevance until then",
        least = calibration::MIN_IMAGES
    )]
    NotCalibrated,
    #[error("what is known of the scores of this model can't be read")]
    CalibrationAway,
    #[error("text and picture cancel each other out; change text_weight")]
    NoDirection,
    #[error("no image {0} is indexed")]
    NotFound(ImageId),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The picture part of a query.
#[derive(Debug, Clone)]
pub enum Picture {
    /// An encoded image that need not be stored.
    Bytes(Bytes),
    /// An indexed image; it is left out of its own results.
    Indexed(ImageId),
}

#[derive(Debug, Clone, Default)]
pub struct Query {
    pub text: Option<String>,
    pub picture: Option<Picture>,
    /// Share of the text beside a picture, 0 to 1; [`DEFAULT_TEXT_WEIGHT`] when absent.
    pub text_weight: Option<f32>,
}

/// Which of the matches are wanted.
#[derive(Debug, Clone)]
pub struct Window {
    pub limit: usize,
    pub offset: usize,
    /// Lowest cosine similarity, −1 to 1.
    pub min_score: Option<f32>,
    /// Lowest relevance, 0 to 1.
    pub min_relevance: Option<f32>,
    pub filter: Option<Filter>,
}

impl Window {
    /// A relevance of 0 is no wish.
    fn least_relevance(&self) -> Option<f32> {
        self.min_relevance.filter(|relevance| *relevance > 0.0)
    }

    /// The lowest score that both wishes let pass.
    fn least_score(&self, scale: Option<Scale>) -> Result<Option<f32>, SearchError> {
        let Some(relevance) = self.least_relevance() else { return Ok(self.min_score) };
        let score = scale.ok_or(SearchError::NotCalibrated)?.score(relevance);
        Ok(Some(self.min_score.map_or(score, |least| least.max(score))))
    }
}

#[derive(Debug)]
pub struct Matches {
    /// Best first.
    pub hits: Vec<Hit>,
    /// What their scores mean, once that was measured.
    pub scale: Option<Scale>,
    pub took_ms: f64,
}

/// Searches one collection with the model that made it.
#[derive(Clone)]
pub struct Search {
    embedder: Embedder,
    collection: Arc<dyn Collection>,
    calibration: Latest,
    index: Availability,
    max_limit: usize,
}

impl Search {
    /// `collection` must be the one of `embedder`'s fingerprint, and in `index`; its calibration is in `objects`.
    pub fn new(
        embedder: Embedder,
        collection: Arc<dyn Collection>,
        objects: &Arc<dyn ObjectStore>,
        index: &Arc<dyn VectorIndex>,
        max_limit: usize,
    ) -> Self {
        let calibration = Latest::follow(objects.clone(), embedder.fingerprint().clone());
        Self { embedder, collection, calibration, index: Availability::of_index(index, Circuit::Search), max_limit }
    }

    pub fn embedder(&self) -> &Embedder {
        &self.embedder
    }

    /// Images that match a query, best first.
    pub async fn find(&self, query: &Query, window: &Window) -> Result<Matches, SearchError> {
        let started = Instant::now();
        self.check(window)?;
        self.check_index()?;
        let (vector, shares) = self.vector(query).await?;
        let calibration = match window.least_relevance() {
            Some(_) => self.calibration.read().await.map_err(|NotRead| SearchError::CalibrationAway)?,
            None => self.calibration.get(),
        };
        let scale = calibration.map(|calibration| Scale::new(&calibration, shares));
        let filter = match query.picture {
            Some(Picture::Indexed(image_id)) => Some(without(image_id, window.filter.clone())),
            _ => window.filter.clone(),
        };
        let search = SearchQuery {
            vector: &vector,
            filter: filter.as_ref(),
            limit: window.limit,
            offset: window.offset,
            min_score: window.least_score(scale)?,
        };
        let hits = self.ask(self.collection.search(&search)).await?;
        Ok(Matches { hits, scale, took_ms: started.elapsed().as_secs_f64() * 1e3 })
    }

    pub async fn get(&self, image_id: ImageId) -> Result<ImageDocument, SearchError> {
        Ok(self.point(image_id).await?.document)
    }

    /// Documents in the order they were made, a page at a time, with the number of all that pass the filter.
    pub async fn list(&self, query: &ListQuery) -> Result<(DocumentPage, u64), SearchError> {
        if query.limit == 0 || query.limit > self.max_limit {
            return Err(SearchError::Limit { limit: query.limit, max: self.max_limit });
        }
        let (page, total) = self
            .ask(async { tokio::try_join!(self.collection.list(query), self.collection.count(query.filter.as_ref())) })
            .await?;
        Ok((page, total))
    }

    fn check(&self, window: &Window) -> Result<(), SearchError> {
        if window.limit == 0 || window.limit > self.max_limit {
            return Err(SearchError::Limit { limit: window.limit, max: self.max_limit });
        }
        if window.offset.saturating_add(window.limit) > SEARCH_WINDOW {
            return Err(IndexError::Window { offset: window.offset, limit: window.limit }.into());
        }
        if let Some(relevance) = window.min_relevance.filter(|relevance| !(0.0..=1.0).contains(relevance)) {
            return Err(SearchError::MinRelevance(relevance));
        }
        Ok(())
    }

    /// Asks the index, unless it is known to be away: then nobody has to wait for a deadline to hear of it.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, IndexError>>) -> Result<T, SearchError> {
        self.check_index()?;
        let answer = question.await;
        if matches!(answer, Err(IndexError::Unavailable { .. })) {
            self.index.doubt_later();
        }
        Ok(answer?)
    }

    fn check_index(&self) -> Result<(), IndexError> {
        self.index.away().map_or(Ok(()), |reason| {
            Err(IndexError::Unavailable { context: "it is away".to_owned(), source: reason.into() })
        })
    }

    async fn point(&self, image_id: ImageId) -> Result<Point, SearchError> {
        self.ask(self.collection.get(image_id)).await?.ok_or(SearchError::NotFound(image_id))
    }

    /// The unit vector of a query, and what its scores are made of.
    async fn vector(&self, query: &Query) -> Result<(Vec<f32>, Shares), SearchError> {
        let text = match query.text.as_deref().map(str::trim) {
            Some("") if query.picture.is_none() => return Err(SearchError::EmptyText),
            Some("") | None => None,
            Some(text) => Some(embedded(Input::Text, self.embedder.embed_text(text)).await?.to_vec()),
        };
        let picture = match &query.picture {
            Some(Picture::Bytes(bytes)) => {
                Some(embedded(Input::Picture, self.embedder.embed_query_image(bytes.clone())).await?)
            }
            Some(Picture::Indexed(image_id)) => Some(self.point(*image_id).await?.vector),
            None => None,
        };
        match (text, picture) {
            (Some(text), Some(picture)) => mix(&text, &picture, query.text_weight.unwrap_or(DEFAULT_TEXT_WEIGHT)),
            (Some(vector), None) => Ok((vector, Shares::TEXT)),
            (None, Some(vector)) => Ok((vector, Shares::PICTURE)),
            (None, None) => Err(SearchError::EmptyQuery),
        }
    }
}

/// Measures how long a query takes to become a vector.
async fn embedded<V>(input: Input, vector: impl Future<Output = Result<V, EmbedError>>) -> Result<V, EmbedError> {
    let started = Instant::now();
    let vector = vector.await?;
    query::embedded(input, started.elapsed());
    Ok(vector)
}

/// The unit vector between a text's and a picture's: their weighted sum, brought back to unit length.
fn mix(text: &[f32], picture: &[f32], text_weight: f32) -> Result<(Vec<f32>, Shares), SearchError> {
    if !(0.0..=1.0).contains(&text_weight) {
        return Err(SearchError::TextWeight(text_weight));
    }
    let picture_weight = 1.0 - text_weight;
    let sum: Vec<f32> =
        text.iter().zip(picture).map(|(text, picture)| text_weight * text + picture_weight * picture).collect();
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm < 1e-6 {
        return Err(SearchError::NoDirection);
    }
    let shares = Shares { text: f64::from(text_weight / norm), picture: f64::from(picture_weight / norm) };
    Ok((sum.into_iter().map(|value| value / norm).collect(), shares))
}

/// The filter, with one image left out.
fn without(image_id: ImageId, filter: Option<Filter>) -> Filter {
    let itself = Filter::Compare {
        field: Field::ImageId,
        operator: Operator::NotEqual,
        value: Value::Text(image_id.to_string()),
    };
    match filter {
        Some(filter) => Filter::And(vec![itself, filter]),
        None => itself,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_unit_length_and_leans_to_the_heavier_side() {
        let (mixed, shares) = mix(&[1.0, 0.0], &[0.0, 1.0], 0.8).expect("both point somewhere");
        assert!((mixed[0].hypot(mixed[1]) - 1.0).abs() < 1e-6);
        assert!(mixed[0] > mixed[1]);
        // The score of each part alone is its share.
        assert!(
            (shares.text - f64::from(mixed[0])).abs() < 1e-6 && (shares.picture - f64::from(mixed[1])).abs() < 1e-6
        );
        let alone = mix(&[1.0, 0.0], &[0.0, 1.0], 1.0).expect("the text alone");
        assert_eq!(alone, (vec![1.0, 0.0], Shares::TEXT));
    }

    #[test]
    fn opposite_directions_and_weights_out_of_range_are_refused() {
        assert!(matches!(mix(&[1.0], &[-1.0], 0.5), Err(SearchError::NoDirection)));
        assert!(matches!(mix(&[1.0], &[1.0], f32::NAN), Err(SearchError::TextWeight(_))));
        assert!(matches!(mix(&[1.0], &[1.0], 1.5), Err(SearchError::TextWeight(_))));
    }
}
