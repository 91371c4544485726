//! Finding by similarity.

use std::collections::HashMap;

use milvus::v2::{ConsistencyLevel, FieldData, Ids, MetricType, SearchVectors, request::dql::SearchRequest};
use shared::{Hit, ImageDocument, ImageId};

use super::{
    super::{IndexError, SEARCH_WINDOW},
    reading::{LARGEST_DOCUMENT, REPLY_BYTES, Reader, to_image_id, unexpected},
    row::{DOCUMENT, DOCUMENT_BYTES, VECTOR, to_document},
};

/// As many hits bring their documents along: whatever is in them, the reply can be received.
const WITH_DOCUMENTS: usize = REPLY_BYTES / LARGEST_DOCUMENT;

pub(super) struct Request {
    pub(super) vector: Vec<f32>,
    pub(super) expression: String,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) min_score: Option<f32>,
    /// Candidates in the graph; never fewer than are asked for.
    pub(super) ef: usize,
}

struct Ranked {
    image_id: ImageId,
    score: f32,
    document: Document,
}

enum Document {
    Here(Box<ImageDocument>),
    /// To be read, of this length.
    Of(usize),
}

pub(super) async fn search(reader: &Reader, request: &Request) -> Result<Vec<Hit>, IndexError> {
    let ranked: Vec<_> = ranked(reader, request).await?.into_iter().skip(request.offset).collect();
    let missing: Vec<_> = ranked
        .iter()
        .filter_map(|ranked| match ranked.document {
            Document::Of(length) => Some((ranked.image_id, length)),
            Document::Here(_) => None,
        })
        .collect();
    let read = reader.documents(&missing).await?;
    let mut read: HashMap<_, _> = read.into_iter().map(|document| (document.image_id, document)).collect();
    let hits = ranked.into_iter().filter_map(|ranked| {
        let document = match ranked.document {
            Document::Here(document) => *document,
            Document::Of(_) => read.remove(&ranked.image_id)?,
        };
        // Rounding alone takes the cosine of a vector with itself past 1.
        Some(Hit { score: ranked.score.clamp(-1.0, 1.0), document })
    });
    Ok(hits.collect())
}

/// The first offset + limit points, equal scores in the order of their ids. Milvus orders equal scores as they come, so
/// that a tie across the end is only decided when all of it was seen: more is asked for until it was, or the window ends.
async fn ranked(reader: &Reader, request: &Request) -> Result<Vec<Ranked>, IndexError> {
    let wanted = request.offset + request.limit;
    let mut asked = (wanted + 1).min(SEARCH_WINDOW);
    loop {
        let mut points = nearest(reader, request, asked).await?;
        points.retain(|point| request.min_score.is_none_or(|least| point.score >= least));
        let tied_past_the_end = points.len() == asked && points[asked - 1].score >= points[wanted - 1].score;
        if tied_past_the_end && asked < SEARCH_WINDOW {
            asked = (asked * 2).min(SEARCH_WINDOW);
            continue;
        }
        points.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.image_id.cmp(&right.image_id)));
        points.truncate(wanted);
        return Ok(points);
    }
}

async fn nearest(reader: &Reader, request: &Request, limit: usize) -> Result<Vec<Ranked>, IndexError> {
    let column = if limit <= WITH_DOCUMENTS { DOCUMENT } else { DOCUMENT_BYTES };
    let found = reader.client.call("cannot search the index", async {
        let search = SearchRequest::builder()
            .collection_name(reader.name.as_str())
            .vector_field(VECTOR)
            .vectors(SearchVectors::Float(vec![request.vector.clone()]))
            .metric_type(MetricType::Cosine)
            .filter(request.expression.as_str())
            .output_fields([column])
            .limit(limit as i64)
            .extra_params(HashMap::from([("ef".to_owned(), request.ef.max(limit).to_string())]))
            .consistency_level(ConsistencyLevel::Strong);
        reader.client.sdk.search(search.build()?).await
    });
    let found = found.await?;
    let Some(results) = found.results().get_results().first() else { return Ok(Vec::new()) };
    let Ids::VarChar(ids) = results.get_ids() else { return Ok(Vec::new()) };
    let documents = match results.get_output_field(column) {
        Some(FieldData::VarChar { values, .. }) => {
            values.iter().map(|text| Ok(Document::Here(Box::new(to_document(text)?)))).collect()
        }
        Some(FieldData::Int64 { values, .. }) => {
            let length = |length: &i64| usize::try_from(*length).unwrap_or(LARGEST_DOCUMENT);
            Ok(values.iter().map(|value| Document::Of(length(value))).collect())
        }
        _ if ids.is_empty() => Ok(Vec::new()),
        _ => Err(unexpected(column)),
    };
    let documents: Vec<_> = documents?;
    let ranked = ids.iter().zip(results.get_scores()).zip(documents);
    ranked.map(|((id, score), document)| Ok(Ranked { image_id: to_image_id(id)?, score: *score, document })).collect()
}
