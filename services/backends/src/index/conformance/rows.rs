//! Lists, scans, and the collections themselves.

use std::collections::HashSet;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use shared::{ImageDocument, ImageId, ModelFingerprint, StoreId, Version, filter::parse};
use uuid::Uuid;

use super::{Point, collection, document, ids, point, spec, vector};
use crate::index::{Collection, CollectionSpec, IndexError, ListQuery, Order, VectorIndex};

/// Documents made at a few times: many at once, as a bulk upload makes them.
fn documents(count: u32) -> Vec<ImageDocument> {
    (0..count)
        .map(|number| {
            let mut document = document(&format!("listed {number}"));
            document.created = Timestamp::UNIX_EPOCH + SignedDuration::from_micros(i64::from(number / 11));
            document.metadata.tags = vec![if number % 2 == 0 { "even".into() } else { "odd".into() }];
            document
        })
        .collect()
}

async fn write(collection: &dyn Collection, documents: &[ImageDocument]) {
    let points: Vec<_> =
        documents.iter().map(|document| Point { vector: vector(0.0), document: document.clone() }).collect();
    collection.upsert(&points).await.unwrap();
}

fn in_order(mut documents: Vec<ImageDocument>, order: Order) -> Vec<ImageId> {
    documents.sort_by_key(|document| document.image_id);
    documents.sort_by(|left, right| match order {
        Order::Newest => right.created.cmp(&left.created),
        Order::Oldest => left.created.cmp(&right.created),
    });
    ids(&documents)
}

/// Reads a list to its end; before each page a newcomer is written that belongs before what was read already.
async fn read_to_the_end(collection: &dyn Collection, mut query: ListQuery) -> Vec<ImageId> {
    let mut listed = Vec::new();
    loop {
        let page = collection.list(&query).await.unwrap();
        assert!(page.documents.len() <= query.limit);
        assert!(page.next_cursor.is_none() || page.documents.len() == query.limit, "only the last page is short");
        listed.extend(ids(&page.documents));
        let Some(cursor) = page.next_cursor else { return listed };
        query.cursor = Some(cursor);
        let mut newcomer = document(&format!("newcomer {}", listed.len()));
        newcomer.metadata.tags = vec!["even".into()];
        newcomer.created = match query.order {
            Order::Newest => Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            Order::Oldest => Timestamp::UNIX_EPOCH - SignedDuration::from_hours(1),
        };
        write(collection, &[newcomer]).await;
    }
}

pub(crate) async fn a_list_is_in_the_order_of_creation_in_pages_that_inserts_do_not_shift(index: &dyn VectorIndex) {
    let documents = documents(100);
    for (number, (order, limit)) in [Order::Newest, Order::Oldest]
        .into_iter()
        .flat_map(|order| [1, 7, 11, 100].map(|limit| (order, limit)))
        .enumerate()
    {
        let model = ModelFingerprint(format!("list-{number}"));
        let collection = index.open(&CollectionSpec { model, ..spec() }).await.unwrap();
        write(&*collection, &documents).await;
        let listed = read_to_the_end(&*collection, ListQuery { order, limit, ..ListQuery::default() }).await;
        assert_eq!(listed, in_order(documents.clone(), order), "{order:?} by {limit}");
    }
}

pub(crate) async fn a_list_is_filtered_and_counted(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let documents = documents(100);
    write(&*collection, &documents).await;
    let filter = parse("tags:even AND created >= 1970-01-01T00:00:00.000002Z").unwrap();
    let expected: Vec<_> = documents.into_iter().filter(|document| filter.matches(document)).collect();
    assert_eq!(collection.count(Some(&filter)).await.unwrap(), expected.len() as u64);
    let query = ListQuery { filter: Some(filter), limit: 4, ..ListQuery::default() };
    assert_eq!(read_to_the_end(&*collection, query).await, in_order(expected, Order::Newest));
}

pub(crate) async fn a_cursor_of_another_list_is_refused(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    write(&*collection, &documents(5)).await;
    let query = ListQuery { limit: 2, ..ListQuery::default() };
    let cursor = collection.list(&query).await.unwrap().next_cursor;
    for (cursor, order) in
        [(cursor, Order::Oldest), (Some("zz".into()), Order::Newest), (Some(String::new()), Order::Newest)]
    {
        let refused = collection.list(&ListQuery { order, cursor, ..query.clone() }).await;
        assert!(matches!(refused, Err(IndexError::Cursor)), "{refused:?}");
    }
}

pub(crate) async fn a_scan_yields_every_image_once_with_its_version(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let mut documents = documents(2500);
    for (number, document) in documents.iter_mut().enumerate() {
        document.version = Version(number as u64);
    }
    write(&*collection, &documents).await;
    let scanned: Vec<_> = collection.scan().try_collect().await.unwrap();
    assert_eq!(scanned.len(), documents.len());
    let expected: HashSet<_> = documents.iter().map(|document| (document.image_id, document.version)).collect();
    assert_eq!(scanned.into_iter().collect::<HashSet<_>>(), expected);
}

pub(crate) async fn collections_are_apart_listed_and_removed(index: &dyn VectorIndex) {
    let other = CollectionSpec { model: ModelFingerprint("fedcba9876543210".into()), dimension: 4, ..spec() };
    assert_eq!(index.collections().await.unwrap(), []);
    let first = collection(index).await;
    let second = index.open(&other).await.unwrap();
    assert_eq!((first.spec(), second.spec()), (&spec(), &other));
    first.upsert(&[point("a", 0.0)]).await.unwrap();
    assert_eq!(collection(index).await.count(None).await.unwrap(), 1);
    assert_eq!(second.count(None).await.unwrap(), 0);
    assert_eq!(index.collections().await.unwrap(), [spec().model, other.model.clone()]);

    assert!(index.remove(&spec().model).await.unwrap());
    assert!(!index.remove(&spec().model).await.unwrap());
    assert!(first.count(None).await.is_err(), "a removed collection is not an empty one");
    assert_eq!(index.collections().await.unwrap(), [other.model]);
    assert_eq!(collection(index).await.count(None).await.unwrap(), 0);
    index.ready().await.unwrap();
}

pub(crate) async fn a_collection_of_another_store_or_dimension_is_refused(index: &dyn VectorIndex) {
    collection(index).await.upsert(&[point("a", 0.0)]).await.unwrap();
    let foreign = CollectionSpec { store: StoreId(Uuid::from_u128(8)), ..spec() };
    for other in [foreign.clone(), CollectionSpec { dimension: 16, ..spec() }] {
        let refused = index.open(&other).await.map(drop);
        assert!(
            matches!(&refused, Err(IndexError::ForeignStore { collection }) if *collection == spec().model.0),
            "{refused:?}"
        );
    }
    assert_eq!(collection(index).await.count(None).await.unwrap(), 1);

    index.remove(&spec().model).await.unwrap();
    assert_eq!(index.open(&foreign).await.unwrap().count(None).await.unwrap(), 0);
}
