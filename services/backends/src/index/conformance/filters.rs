//! The adapter's idea of a filter against `Filter::matches`, on random documents and filters.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use shared::{
    ImageDocument, ImageId, Metadata,
    filter::{Field, Filter, Operator, Value},
};
use tokio::{runtime::Handle, task::block_in_place};

use super::{Point, collection, document, facts, ids, vector};
use crate::index::{Collection, ListQuery, VectorIndex};

const DOCUMENTS: usize = 300;
const FILTERS: u32 = 400;

pub(crate) async fn filters_mean_what_the_language_says(index: &dyn VectorIndex) {
    let collection = collection(index).await;
    let documents = sample_documents();
    let points: Vec<_> =
        documents.iter().map(|document| Point { vector: vector(0.0), document: document.clone() }).collect();
    collection.upsert(&points).await.unwrap();
    let mut runner = TestRunner::new(Config { cases: FILTERS, failure_persistence: None, ..Config::default() });
    let agreed = runner.run(&any_filter(), |filter| {
        let expected: HashSet<_> =
            documents.iter().filter(|document| filter.matches(document)).map(|document| document.image_id).collect();
        let (found, count) = block_in_place(|| Handle::current().block_on(passing(&*collection, &filter)));
        let wrong: Vec<_> = documents
            .iter()
            .filter(|document| found.contains(&document.image_id) != expected.contains(&document.image_id))
            .take(2)
            .collect();
        prop_assert!(wrong.is_empty(), "{filter} passes or stops {wrong:#?}");
        prop_assert_eq!(count, expected.len() as u64);
        Ok(())
    });
    agreed.unwrap();
}

async fn passing(collection: &dyn Collection, filter: &Filter) -> (HashSet<ImageId>, u64) {
    let query = ListQuery { filter: Some(filter.clone()), limit: 1000, ..ListQuery::default() };
    let listed = collection.list(&query).await.unwrap();
    (ids(&listed.documents).into_iter().collect(), collection.count(Some(filter)).await.unwrap())
}

fn sample_documents() -> Vec<ImageDocument> {
    let mut runner = TestRunner::deterministic();
    let sample = |number| {
        let mut document = any_document().new_tree(&mut runner).unwrap().current();
        document.image_id = ImageId::of(&usize::to_le_bytes(number));
        document
    };
    (0..DOCUMENTS).map(sample).collect()
}

// Few values, so that documents and filters meet.

fn any_text() -> impl Strategy<Value = String> + Clone {
    let long = "a caption that is longer than what an index would want to hold as one value of its own";
    select(vec!["cat", "Cat", "big cat", "Big Dog!", "IMG_01.jpg", "zürich", "", "…", "true", "1", "a\"b\\c", long])
        .prop_map(str::to_owned)
}

fn any_number() -> impl Strategy<Value = f64> + Clone {
    select(vec![-1.0, -0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 1000.0, 1e300, 9_007_199_254_740_993.0])
}

/// Around the epoch, finer than the microsecond to which times are compared, and some far away.
fn any_time() -> impl Strategy<Value = Timestamp> + Clone {
    let near =
        (-3_000_i64..3_000).prop_map(|nanoseconds| Timestamp::UNIX_EPOCH + SignedDuration::from_nanos(nanoseconds));
    let far = select(vec![
        "0001-01-01T00:00:00Z",
        "1683-01-01T00:00:00Z",
        "2300-06-01T01:02:03.123456Z",
        "9999-12-30T00:00:00Z",
    ]);
    prop_oneof![4 => near, 1 => far.prop_map(|text| text.parse().unwrap())]
}

fn any_name() -> impl Strategy<Value = String> + Clone {
    select(vec!["a", "b", "with space", "dot.ted", "quo\"te", "", "ü"]).prop_map(str::to_owned)
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let value = prop_oneof![
        any_text().prop_map(|text| json!(text)),
        any_number().prop_map(|number| json!(number)),
        select(vec![json!(1), json!(-1), json!(u64::MAX), json!(9_007_199_254_740_993_u64)]),
        any::<bool>().prop_map(|truth| json!(truth)),
    ];
    (
        prop::collection::vec(any_text(), 0..3),
        prop::option::of(any_text()),
        prop::option::of(any_time()),
        prop::collection::btree_map(any_name(), value, 0..4),
    )
        .prop_map(|(tags, caption, captured, fields)| Metadata { tags, caption, captured, fields })
}

fn any_document() -> impl Strategy<Value = ImageDocument> {
    let size = select(vec![0, 1, 1000, 1 << 40]);
    let facts = (select(vec![1, 2, 1000]), select(vec![0, 1, 1000]), any::<bool>())
        .prop_map(|(width, height, partial)| facts(width, height, partial));
    (any_metadata(), size, prop::option::of(any_text()), any_time(), prop::option::of(facts)).prop_map(
        |(metadata, size_bytes, name, created, facts)| ImageDocument {
            metadata,
            size_bytes,
            name,
            created,
            facts,
            ..document("")
        },
    )
}

fn any_comparison() -> impl Strategy<Value = Filter> {
    use Operator::{Equal, Greater, GreaterOrEqual, Has, Less, LessOrEqual, NotEqual};
    let ordering = select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
    let matching = select(vec![Equal, NotEqual, Has]);
    let custom = any_name().prop_map(Field::Custom);
    let text = any_text().prop_map(Value::Text);
    let number = any_number().prop_map(Value::Number);
    let truth = any::<bool>().prop_map(Value::Boolean);
    let image = (0..DOCUMENTS * 2).prop_map(|number| Value::Text(ImageId::of(&number.to_le_bytes()).to_string()));
    let system = vec![
        Field::ImageId,
        Field::Width,
        Field::Height,
        Field::AspectRatio,
        Field::SizeBytes,
        Field::ContentType,
        Field::Name,
        Field::Created,
        Field::Captured,
        Field::Tags,
        Field::Caption,
        Field::Partial,
    ];
    let numeric = select(vec![Field::Width, Field::Height, Field::AspectRatio, Field::SizeBytes]);
    let textual = select(vec![Field::ContentType, Field::Name, Field::Caption, Field::ImageId]);
    let compare = |(field, operator, value)| Filter::Compare { field, operator, value };
    prop_oneof![
        (numeric, ordering.clone(), number.clone()).prop_map(compare),
        (textual, matching.clone(), text.clone()).prop_map(compare),
        (select(vec![Field::Created, Field::Captured]), ordering.clone(), any_time().prop_map(Value::Time))
            .prop_map(compare),
        (Just(Field::Tags), Just(Has), text.clone()).prop_map(compare),
        (Just(Field::ImageId), matching.clone(), image).prop_map(compare),
        (Just(Field::Partial), select(vec![Equal, NotEqual]), truth.clone()).prop_map(compare),
        (custom.clone(), ordering, number.clone()).prop_map(compare),
        (custom.clone(), matching, prop_oneof![text, truth, number]).prop_map(compare),
        (prop_oneof![select(system), custom], Just(Has), Just(Value::Any)).prop_map(compare),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_comparison().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|negated| Filter::Not(Box::new(negated))),
        ]
    })
}
