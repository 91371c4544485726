#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{ImageDocument, ImageFacts, ImageId, Metadata, Version};

fn document() -> ImageDocument {
    ImageDocument {
        image_id: ImageId::of(b"foo"),
        version: Version(7),
        size_bytes: 120_000,
        content_type: "image/jpeg".into(),
        name: Some("IMG_0042 Giraffe.jpg".into()),
        created: "2025-03-01T12:00:00.123456789Z".parse().unwrap(),
        metadata: Metadata {
            tags: vec!["cat".into(), "Big Dog".into()],
            caption: Some("Eine Giraffe, im Zoo von Zürich".into()),
            captured: None,
            fields: [
                ("rating", json!(4)),
                ("color", json!("dark red")),
                ("sold", json!(false)),
                ("my note", json!("x")),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        },
        facts: Some(ImageFacts {
            width: 1200,
            height: 800,
            thumbhash: String::new(),
            perceptual_hash: String::new(),
            partial: false,
            latitude: None,
            longitude: None,
            exif_date: None,
        }),
    }
}

#[track_caller]
fn assert_matches(text: &str, expected: bool) {
    let filter = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(filter.matches(&document()), expected, "{text}");
}

#[track_caller]
fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn numbers_times_and_booleans_compare() {
    assert_matches("width >= 1200 AND height < 801 AND size_bytes > 1.2e4", true);
    assert_matches("aspect_ratio = 1.5", true);
    assert_matches("width != 1200", false);
    assert_matches("created > 2025-01-01 AND created < 2025-03-01T13:30:00+01:00", true);
    assert_matches("created = \"2025-03-01T12:00:00.123456Z\"", true);
    assert_matches("partial = false", true);
}

#[test]
fn tags_are_matched_whole_and_texts_by_word() {
    assert_matches("tags:cat", true);
    assert_matches("tags:\"Big Dog\"", true);
    assert_matches("tags:dog", false);
    assert_matches("caption:\"zürich giraffe\"", true);
    assert_matches("caption:giraf", false);
    assert_matches("name:0042", true);
    assert_matches("name = \"IMG_0042 Giraffe.jpg\"", true);
    assert_matches("image_id:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", true);
}

#[test]
fn own_fields_take_any_scalar() {
    assert_matches("fields.rating > 3 AND fields.rating = 4.0", true);
    assert_matches("fields.rating = \"4\"", false);
    assert_matches("fields.color:RED", true);
    assert_matches("fields.sold = false AND fields.sold:false", true);
    assert_matches("fields.\"my note\" = 'x'", true);
    assert_matches("fields.color:* AND NOT fields.other:*", true);
}

#[test]
fn an_absent_field_compares_false_and_differs_from_everything() {
    assert_matches("captured < 2030-01-01", false);
    assert_matches("captured:*", false);
    assert_matches("captured != 2030-01-01", true);
    assert_matches("NOT captured = 2030-01-01", true);
    assert_matches("fields.other = 1 OR fields.other < 1 OR fields.other > 1", false);
}

#[test]
fn or_binds_tighter_than_and() {
    assert_matches("tags:cat OR tags:cow AND tags:none", false);
    assert_matches("tags:cat OR (tags:cow AND tags:none)", true);
    assert_matches("-tags:cow AND NOT (tags:cow OR tags:none)", true);
    assert_eq!(parse("width=1 OR width=2 AND width=3"), parse("(width = 1 OR width = 2) AND width = 3"));
}

#[test]
fn an_empty_filter_matches_everything() {
    assert_matches("", true);
    assert_matches("  \t ", true);
    assert!(!Filter::Or(Vec::new()).matches(&document()));
}

#[test]
fn faults_name_the_column_and_what_was_expected() {
    insta::assert_snapshot!(
        [
            "widht > 3",
            "zzz = 1",
            "width",
            "width >",
            "width > wide",
            "width > \"3\"",
            "width = 1e999",
            "width : 3",
            "tags = cat",
            "tags:cat and width > 3",
            "tags:cat width > 3",
            "(tags:cat",
            "tags:cat)",
            "tags:\"cat",
            "name = *",
            "name < b",
            "partial > true",
            "created > yesterday",
            "created > 2025-02-30",
            "fields = 1",
            "fields. = 1",
            "fields.a < \"b\"",
            "caption:\"…!\"",
            "name = \"a\\q\"",
            "tags:é AND ü = 1",
            "NOT",
            "AND",
            "width = 1 OR",
            "caption:\"ends\\",
        ]
        .map(|text| format!("{text}\n    {}", fault(text)))
        .join("\n")
    );
}

#[test]
fn hostile_input_is_refused_without_exhausting_the_stack() {
    for opening in ["(", "-", "NOT "] {
        let text = opening.repeat(1000);
        assert!(matches!(parse(&text).unwrap_err().fault, FilterFault::TooDeep), "{opening}");
    }
    let long = "tags:cat OR ".repeat(100_000);
    let error = parse(&long).unwrap_err();
    assert_eq!((error.column, error.fault), (MAX_LENGTH + 1, FilterFault::TooLong));
    let at_the_limit = format!("{}width = 1{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert!(parse(&at_the_limit).is_ok());
}

/// Comparisons that the parser accepts: the right value and operator for the field's type.
fn any_comparison() -> impl Strategy<Value = Filter> {
    let number = prop_oneof![any::<i32>().prop_map(f64::from), -1e300..1e300, Just(0.1), Just(-0.0)];
    let time = (-62_000_000_000_000_000_i64..253_000_000_000_000_000)
        .prop_map(|us| jiff::Timestamp::from_microsecond(us).unwrap());
    let word = "\\PC{0,4}[a-zé0-9]\\PC{0,4}";
    let ordering = prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    let custom = any::<String>().prop_map(Field::Custom);
    let of = |field: Vec<Field>| prop::sample::select(field);
    let compare = |(field, operator, value)| Filter::Compare { field, operator, value };
    prop_oneof![
        (
            of(vec![Field::Width, Field::Height, Field::AspectRatio, Field::SizeBytes]),
            ordering.clone(),
            number.clone().prop_map(Value::Number)
        )
            .prop_map(compare),
        (of(vec![Field::Created, Field::Captured]), ordering.clone(), time.prop_map(Value::Time)).prop_map(compare),
        (of(vec![Field::Name, Field::Caption, Field::ContentType]), Just(Operator::Has), word.prop_map(Value::Text))
            .prop_map(compare),
        (of(vec![Field::Name, Field::ImageId]), Just(Operator::NotEqual), any::<String>().prop_map(Value::Text))
            .prop_map(compare),
        (Just(Field::Tags), Just(Operator::Has), any::<String>().prop_map(Value::Text)).prop_map(compare),
        (Just(Field::Partial), Just(Operator::Equal), any::<bool>().prop_map(Value::Boolean)).prop_map(compare),
        (custom.clone(), ordering, number.prop_map(Value::Number)).prop_map(compare),
        (custom.clone(), Just(Operator::Equal), any::<String>().prop_map(Value::Text)).prop_map(compare),
        (custom.clone(), Just(Operator::NotEqual), any::<bool>().prop_map(Value::Boolean)).prop_map(compare),
        (prop_oneof![custom, Just(Field::Captured), Just(Field::Tags)], Just(Operator::Has), Just(Value::Any))
            .prop_map(compare),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_comparison().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|negated| Filter::Not(Box::new(negated))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(filter in any_filter()) {
        let text = filter.to_string();
        prop_assume!(text.chars().count() <= MAX_LENGTH);
        prop_assert_eq!(parse(&text), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_column_within_it(text in "(tags|width|fields|[-()\"':=<>!.*\\\\ a-zA-Z0-9é])*") {
        if let Err(error) = parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
        }
    }
}
