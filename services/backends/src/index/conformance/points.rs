//! Writing points and finding them.

use shared::{ImageId, Version, filter::parse};

use super::{Point, collection, document, ids, point, query, vector};
use crate::index::{Collection, IndexError, SEARCH_WINDOW, SearchQuery, VectorIndex};

async fn found(collection: &dyn Collection, offset: usize, limit: usize) -> Vec<ImageId> {
    let hits = collection.search(&query(&vector(0.0), offset, limit)).await.unwrap();
    ids(hits.iter().map(|hit| &hit.document))
}

pub(crate) async fn a_point_is_found_as_soon_as_it_is_written(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    assert_eq!(found(&*collection, 0, 10).await, []);
    for number in 0..20_u8 {
        let point = point(&number.to_string(), f32::from(number) / 20.0);
        collection.upsert(std::slice::from_ref(&point)).await.unwrap();
        let hits = collection.search(&query(&point.vector, 0, 1)).await.unwrap();
        assert_eq!(hits[0].document, point.document);
        assert!((hits[0].score - 1.0).abs() < 1e-5, "{}", hits[0].score);
    }
    assert_eq!(collection.count(None).await.unwrap(), 20);
}

pub(crate) async fn a_point_written_again_replaces_the_first(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let mut point = point("a", 0.0);
    collection.upsert(std::slice::from_ref(&point)).await.unwrap();
    point.vector = vector(1.0);
    point.document.version = Version(2);
    point.document.metadata.caption = Some("later".into());
    collection.upsert(std::slice::from_ref(&point)).await.unwrap();

    assert_eq!(collection.count(None).await.unwrap(), 1);
    let stored = collection.get(point.document.image_id).await.unwrap().unwrap();
    assert_eq!(stored.document, point.document);
    assert!(stored.vector.iter().zip(&point.vector).all(|(stored, given)| (stored - given).abs() < 1e-5));
    let earlier = parse("NOT caption:later").unwrap();
    assert_eq!(collection.count(Some(&earlier)).await.unwrap(), 0);
}

pub(crate) async fn a_vector_that_is_not_a_unit_vector_is_refused_and_nothing_is_written(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let doubled = vector(0.5).iter().map(|value| value * 2.0).collect();
    let mut with_nan = vector(0.0);
    with_nan[7] = f32::NAN;
    let mut with_infinity = vector(0.0);
    with_infinity[7] = f32::INFINITY;
    for unusable in [vec![0.0; 8], doubled, with_nan, with_infinity, vec![1.0], Vec::new()] {
        let unusable = Point { vector: unusable, document: document("unusable") };
        let image_id = unusable.document.image_id;
        let refused = collection.upsert(&[point("usable", 0.0), unusable]).await;
        assert!(matches!(refused, Err(IndexError::UnusableVector(id)) if id == image_id), "{refused:?}");
    }
    assert!(collection.search(&query(&[0.0; 8], 0, 1)).await.is_err());
    assert!(collection.search(&query(&[1.0], 0, 1)).await.is_err());
    assert_eq!(collection.count(None).await.unwrap(), 0);
}

pub(crate) async fn a_document_is_replaced_beside_its_vector(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let point = point("a", 0.7);
    assert!(!collection.set_document(&point.document).await.unwrap());
    assert_eq!(collection.count(None).await.unwrap(), 0);

    collection.upsert(std::slice::from_ref(&point)).await.unwrap();
    let mut changed = point.document.clone();
    changed.version = Version(9);
    changed.metadata.tags = vec!["new".into()];
    assert!(collection.set_document(&changed).await.unwrap());

    let filter = parse("tags:new").unwrap();
    let hits = collection.search(&SearchQuery { filter: Some(&filter), ..query(&point.vector, 0, 5) }).await.unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].document, changed);
    assert!((hits[0].score - 1.0).abs() < 1e-5);
}

pub(crate) async fn a_deleted_image_is_gone_and_can_come_back(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let points = [point("a", 0.0), point("b", 0.1)];
    let image_id = points[0].document.image_id;
    collection.upsert(&points).await.unwrap();
    collection.delete(&[image_id, ImageId::of(b"never there")]).await.unwrap();
    collection.delete(&[image_id]).await.unwrap();

    assert_eq!(collection.get(image_id).await.unwrap(), None);
    assert_eq!(found(&*collection, 0, 10).await, [points[1].document.image_id]);
    assert!(!collection.set_document(&points[0].document).await.unwrap());

    collection.upsert(&points[..1]).await.unwrap();
    assert_eq!(found(&*collection, 0, 1).await, [image_id]);
}

pub(crate) async fn a_search_is_best_first_and_ties_are_in_the_order_of_ids(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    // Three groups of equal vectors, each larger than the pages below.
    let points: Vec<_> = (0..90).map(|number| point(&number.to_string(), [0.0, 0.3, 0.6][number % 3])).collect();
    collection.upsert(&points).await.unwrap();
    let mut expected = Vec::new();
    for group in 0..3 {
        let mut tied = ids(points.iter().skip(group).step_by(3).map(|point| &point.document));
        tied.sort();
        expected.extend(tied);
    }
    assert_eq!(found(&*collection, 0, 100).await, expected);
    for offset in (0..90).step_by(7) {
        assert_eq!(found(&*collection, offset, 7).await, expected[offset..90.min(offset + 7)], "offset {offset}");
    }
}

pub(crate) async fn a_search_ends_at_its_window_and_its_least_score(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let points: Vec<_> = (0..10_u8).map(|number| point(&number.to_string(), f32::from(number) * 0.1)).collect();
    collection.upsert(&points).await.unwrap();
    assert_eq!(found(&*collection, SEARCH_WINDOW - 1, 1).await, []);
    assert_eq!(found(&*collection, 8, 5).await, ids(points[8..].iter().map(|point| &point.document)));
    assert_eq!(found(&*collection, 3, 0).await, []);
    for (offset, limit) in [(SEARCH_WINDOW, 1), (0, SEARCH_WINDOW + 1), (usize::MAX, 1), (1, usize::MAX)] {
        let refused = collection.search(&query(&vector(0.0), offset, limit)).await;
        assert!(matches!(refused, Err(IndexError::Window { .. })), "{refused:?}");
    }
    let least = Some(0.25_f32.cos());
    let hits = collection.search(&SearchQuery { min_score: least, ..query(&vector(0.0), 0, 10) }).await.unwrap();
    assert_eq!(ids(hits.iter().map(|hit| &hit.document)), ids(points[..3].iter().map(|point| &point.document)));
}

pub(crate) async fn a_search_sees_only_what_its_filter_passes(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let mut points: Vec<_> = (0..60_u8).map(|number| point(&number.to_string(), f32::from(number) * 0.01)).collect();
    for point in points.iter_mut().skip(50) {
        point.document.metadata.tags = vec!["far".into()];
    }
    collection.upsert(&points).await.unwrap();
    let filter = parse("tags:far AND name != 55").unwrap();
    let hits = collection.search(&SearchQuery { filter: Some(&filter), ..query(&vector(0.0), 2, 5) }).await.unwrap();
    let expected: Vec<_> = [52, 53, 54, 56, 57].map(|number: usize| points[number].document.image_id).into();
    assert_eq!(ids(hits.iter().map(|hit| &hit.document)), expected);
}
