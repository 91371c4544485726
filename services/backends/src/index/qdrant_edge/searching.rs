//! Finding by similarity.

use qdrant_edge::{
    EdgeShard, Filter as EdgeFilter, NamedQuery, OperationError, PointId, QueryEnum, ScoredPoint, SearchRequest,
    WithPayloadInterface,
};
use shared::{Hit, ImageDocument};

use super::{
    super::{IndexError, SEARCH_WINDOW},
    payload::to_document,
    unavailable,
};

pub(super) struct Request {
    pub(super) vector: Vec<f32>,
    pub(super) filter: Option<EdgeFilter>,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) min_score: Option<f32>,
}

pub(super) fn search(shard: &EdgeShard, request: &Request) -> Result<Vec<Hit>, IndexError> {
    let points = ranked(shard, request).map_err(|source| unavailable("cannot search the index", source))?;
    let points: Vec<_> = points.into_iter().skip(request.offset).collect();
    let ids: Vec<_> = points.iter().map(|point| point.id).collect();
    let mut documents = documents(shard, &ids)?;
    let hits = points.into_iter().filter_map(|point| {
        let position = documents.iter().position(|(id, _)| *id == point.id)?;
        let (_, document) = documents.swap_remove(position);
        // Rounding alone takes the cosine of a vector with itself past 1.
        Some(Hit { score: point.score.clamp(-1.0, 1.0), document })
    });
    Ok(hits.collect())
}

/// The first offset + limit points, equal scores in the order of their ids. qdrant orders equal scores as they come, so
/// that a tie across the end is only decided when all of it was seen: more is asked for until it was.
fn ranked(shard: &EdgeShard, request: &Request) -> Result<Vec<ScoredPoint>, OperationError> {
    let wanted = request.offset + request.limit;
    let mut asked = wanted + 1;
    loop {
        let mut points = nearest(shard, request, asked)?;
        let tied_past_the_end = points.len() == asked && points[asked - 1].score >= points[wanted - 1].score;
        if tied_past_the_end && asked <= SEARCH_WINDOW {
            asked *= 2;
            continue;
        }
        points.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        points.truncate(wanted);
        return Ok(points);
    }
}

fn nearest(shard: &EdgeShard, request: &Request, limit: usize) -> Result<Vec<ScoredPoint>, OperationError> {
    shard.search(SearchRequest {
        query: QueryEnum::Nearest(NamedQuery::default_dense(request.vector.clone())),
        filter: request.filter.clone(),
        params: None,
        limit,
        offset: 0,
        with_payload: Some(WithPayloadInterface::Bool(false)),
        with_vector: None,
        score_threshold: request.min_score,
    })
}

/// The documents of these points, in no order; a point that was removed meanwhile has none.
fn documents(shard: &EdgeShard, ids: &[PointId]) -> Result<Vec<(PointId, ImageDocument)>, IndexError> {
    let records = shard
        .retrieve(ids, Some(WithPayloadInterface::Bool(true)), None)
        .map_err(|source| unavailable("cannot read documents of the index", source))?;
    records.into_iter().map(|record| Ok((record.id, to_document(record.payload.as_ref())?))).collect()
}
