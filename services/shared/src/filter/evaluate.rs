//! What a filter means: the reference that every adapter of the index is compared with.
//!
//! - A comparison with an absent field is false; `!=` is the opposite of `=` and so true there.
//! - Numbers are compared as 64-bit floats, times to the microsecond, texts by their characters.
//! - `:` on a text asks for words, all of them, in any order and in any case; on tags for one that is exactly so.

use std::cmp::Ordering;

use super::{Field, Filter, Operator, Value};
use crate::{ImageDocument, ImageFacts};

/// The words of a text, as `:` compares them: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// What a document has in a field.
enum Actual<'a> {
    Absent,
    Text(&'a str),
    Texts(&'a [String]),
    Number(f64),
    Boolean(bool),
    Time(jiff::Timestamp),
}

impl Filter {
    /// Whether the document passes the filter.
    pub fn matches(&self, document: &ImageDocument) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(document)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(document)),
            Self::Not(negated) => !negated.matches(document),
            Self::Compare { field: Field::ImageId, operator, value } => {
                compare(&Actual::Text(&document.image_id.to_string()), *operator, value)
            }
            Self::Compare { field, operator, value } => compare(&actual(field, document), *operator, value),
        }
    }
}

fn actual<'a>(field: &Field, document: &'a ImageDocument) -> Actual<'a> {
    let text = |text: Option<&'a String>| text.map_or(Actual::Absent, |text| Actual::Text(text));
    let facts = document.facts.as_ref();
    match field {
        Field::Width => facts.map_or(Actual::Absent, |facts| Actual::Number(facts.width.into())),
        Field::Height => facts.map_or(Actual::Absent, |facts| Actual::Number(facts.height.into())),
        Field::AspectRatio => facts.and_then(ImageFacts::aspect_ratio).map_or(Actual::Absent, Actual::Number),
        Field::Partial => facts.map_or(Actual::Absent, |facts| Actual::Boolean(facts.partial)),
        Field::SizeBytes => Actual::Number(document.size_bytes as f64),
        Field::ContentType => Actual::Text(&document.content_type),
        Field::Name => text(document.name.as_ref()),
        Field::Caption => text(document.metadata.caption.as_ref()),
        Field::Created => Actual::Time(document.created),
        Field::Captured => document.metadata.captured.map_or(Actual::Absent, Actual::Time),
        Field::Tags if document.metadata.tags.is_empty() => Actual::Absent,
        Field::Tags => Actual::Texts(&document.metadata.tags),
        Field::Custom(name) => document.metadata.fields.get(name).map_or(Actual::Absent, scalar),
        // The document holds digits only as bytes; `matches` writes them out before it asks.
        Field::ImageId => Actual::Absent,
    }
}

impl ImageFacts {
    /// Width by height; none for an image without rows.
    pub fn aspect_ratio(&self) -> Option<f64> {
        (self.height > 0).then(|| f64::from(self.width) / f64::from(self.height))
    }
}

fn scalar(value: &serde_json::Value) -> Actual<'_> {
    match value {
        serde_json::Value::String(text) => Actual::Text(text),
        serde_json::Value::Bool(boolean) => Actual::Boolean(*boolean),
        serde_json::Value::Number(number) => number.as_f64().map_or(Actual::Absent, Actual::Number),
        _ => Actual::Absent,
    }
}

fn compare(actual: &Actual<'_>, operator: Operator, value: &Value) -> bool {
    match operator {
        Operator::Equal => equals(actual, value),
        Operator::NotEqual => !equals(actual, value),
        Operator::Has => has(actual, value),
        Operator::Less => order(actual, value).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(actual, value).is_some_and(Ordering::is_le),
        Operator::Greater => order(actual, value).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(actual, value).is_some_and(Ordering::is_ge),
    }
}

fn equals(actual: &Actual<'_>, value: &Value) -> bool {
    match (actual, value) {
        (Actual::Text(actual), Value::Text(text)) => actual == text,
        (Actual::Boolean(actual), Value::Boolean(boolean)) => actual == boolean,
        _ => order(actual, value).is_some_and(Ordering::is_eq),
    }
}

/// Numbers and times have an order; everything else has none.
fn order(actual: &Actual<'_>, value: &Value) -> Option<Ordering> {
    match (actual, value) {
        (Actual::Number(actual), Value::Number(number)) => actual.partial_cmp(number),
        (Actual::Time(actual), Value::Time(time)) => Some(actual.as_microsecond().cmp(&time.as_microsecond())),
        _ => None,
    }
}

fn has(actual: &Actual<'_>, value: &Value) -> bool {
    match (actual, value) {
        (_, Value::Any) => !matches!(actual, Actual::Absent),
        (Actual::Texts(elements), Value::Text(element)) => elements.contains(element),
        (Actual::Text(text), Value::Text(wanted)) => {
            let mut wanted = words(wanted).peekable();
            wanted.peek().is_some() && wanted.all(|word| words(text).any(|found| found == word))
        }
        (_, Value::Text(_)) => false,
        _ => equals(actual, value),
    }
}
