//! A filter as an expression of Milvus's. It must pass the same documents as `Filter::matches`.
//!
//! Every comparison is true or false, never null: absent values stand in the columns as values that there are none of,
//! and one of the user's numbers is only looked at where a term says that it is there.

use std::borrow::Cow;

use shared::{
    ImageId,
    filter::{Field, Filter, Operator, Value, words},
};

use super::{
    super::terms::Says,
    row::{ABSENT_TIME, ALL_TERMS, CAPTURED, CREATED, ID, NUMBERS, Term, number_name, terms_column},
};

/// Passes no row: every row has an id.
pub(super) const NOTHING: &str = "id == \"\"";
const EVERYTHING: &str = "id != \"\"";

pub(super) fn expression(filter: &Filter) -> String {
    match filter {
        Filter::And(parts) => all(parts.iter().map(expression)),
        Filter::Or(parts) => any(parts.iter().map(expression)),
        Filter::Not(negated) => not(&expression(negated)),
        Filter::Compare { field, operator, value } => compare(field, *operator, value),
    }
}

/// Rows that pass all of the expressions.
pub(super) fn all(parts: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> String {
    joined(parts, " and ", EVERYTHING)
}

/// Rows of these images.
pub(super) fn images<'a>(image_ids: impl IntoIterator<Item = &'a ImageId>) -> String {
    let ids: Vec<_> = image_ids.into_iter().map(|image_id| quoted(&image_id.to_string())).collect();
    format!("{ID} in [{}]", ids.join(","))
}

/// Rows after an image, in the order of ids.
pub(super) fn after(image_id: ImageId) -> String {
    format!("{ID} > {}", quoted(&image_id.to_string()))
}

/// Rows made within these times, in microseconds, both included.
pub(super) fn created_within(earliest_us: i64, latest_us: i64) -> String {
    if earliest_us == latest_us {
        return format!("{CREATED} == {earliest_us}");
    }
    format!("({CREATED} >= {earliest_us} and {CREATED} <= {latest_us})")
}

fn compare(field: &Field, operator: Operator, value: &Value) -> String {
    match operator {
        Operator::Equal => equal(field, value),
        Operator::NotEqual => not(&equal(field, value)),
        Operator::Has => has(field, value),
        ordering => ordered(field, ordering, value),
    }
}

fn equal(field: &Field, value: &Value) -> String {
    match (field, value) {
        (Field::ImageId, Value::Text(text)) => image(text),
        (Field::Name | Field::Caption | Field::ContentType | Field::Custom(_), Value::Text(text)) => {
            has_term(&Term::new(field, Says::Is, text))
        }
        (Field::Partial | Field::Custom(_), Value::Boolean(truth)) => {
            has_term(&Term::new(field, Says::IsTruth(*truth), ""))
        }
        _ => ordered(field, Operator::Equal, value),
    }
}

fn has(field: &Field, value: &Value) -> String {
    match (field, value) {
        (_, Value::Any) => present(field),
        (Field::Tags, Value::Text(tag)) => has_term(&Term::new(field, Says::Is, tag)),
        (Field::ImageId, Value::Text(text)) => all_words(text, |word| image(&word)),
        (Field::Name | Field::Caption | Field::ContentType | Field::Custom(_), Value::Text(text)) => {
            all_words(text, |word| has_term(&Term::new(field, Says::HasWord, &word)))
        }
        (_, Value::Text(_)) => NOTHING.into(),
        _ => equal(field, value),
    }
}

fn present(field: &Field) -> String {
    match field {
        Field::ImageId | Field::SizeBytes | Field::Created | Field::ContentType => EVERYTHING.into(),
        Field::Width | Field::Height | Field::AspectRatio => format!("{field} >= 0.0"),
        Field::Captured => format!("{CAPTURED} > {ABSENT_TIME}"),
        Field::Name | Field::Caption | Field::Tags | Field::Partial | Field::Custom(_) => {
            has_term(&Term::new(field, Says::IsPresent, ""))
        }
    }
}

fn ordered(field: &Field, operator: Operator, value: &Value) -> String {
    match (field, value) {
        (Field::SizeBytes, Value::Number(number)) => number_comparison("size_bytes", operator, *number),
        (Field::Width | Field::Height | Field::AspectRatio, Value::Number(number)) => {
            all([present(field), number_comparison(&field.to_string(), operator, *number)])
        }
        (Field::Custom(name), Value::Number(number)) => {
            let key = format!("{NUMBERS}[{}]", quoted(&number_name(name)));
            let is_number = has_term(&Term::new(field, Says::IsNumber, ""));
            all([is_number, number_comparison(&key, operator, *number)])
        }
        (Field::Created, Value::Time(time)) => time_comparison(CREATED, operator, *time),
        (Field::Captured, Value::Time(time)) => all([present(field), time_comparison(CAPTURED, operator, *time)]),
        _ => NOTHING.into(),
    }
}

/// Always with a point or an exponent: a whole number would be compared as such, and only with whole numbers.
fn number_comparison(column: &str, operator: Operator, number: f64) -> String {
    // Adding zero turns −0 into 0, which it equals.
    format!("{column} {} {:?}", symbol(operator), number + 0.0)
}

fn time_comparison(column: &str, operator: Operator, time: jiff::Timestamp) -> String {
    format!("{column} {} {}", symbol(operator), time.as_microsecond())
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Equal | Operator::NotEqual | Operator::Has => "==",
    }
}

fn all_words(text: &str, condition: impl Fn(String) -> String) -> String {
    let words: Vec<_> = words(text).map(condition).collect();
    if words.is_empty() { NOTHING.into() } else { all(words) }
}

fn image(text: &str) -> String {
    text.parse::<ImageId>().map_or_else(|_| NOTHING.into(), |image_id| images([&image_id]))
}

fn has_term(term: &Term) -> String {
    format!("json_contains({}[{}], {})", terms_column(term.column), quoted(ALL_TERMS), quoted(&term.text))
}

fn any(parts: impl IntoIterator<Item = String>) -> String {
    joined(parts, " or ", NOTHING)
}

fn not(expression: &str) -> String {
    format!("(not ({expression}))")
}

fn joined(parts: impl IntoIterator<Item = impl Into<Cow<'static, str>>>, separator: &str, without_any: &str) -> String {
    let parts: Vec<Cow<'static, str>> = parts.into_iter().map(Into::into).collect();
    match parts.as_slice() {
        [] => without_any.into(),
        [one] => one.to_string(),
        _ => format!("({})", parts.join(separator)),
    }
}

/// A text of an expression. Everything that comes here is an id, a term or a key, none of which needs escaping; should one
/// ever, it is escaped as in JSON, which Milvus reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
