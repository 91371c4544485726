//! A filter in qdrant's terms. It must pass the same documents as `Filter::matches`.

use qdrant_edge::{
    Condition, DateTimeWrapper, FieldCondition, Filter as EdgeFilter, HasIdCondition, JsonPath, Match, Range,
    ValueVariants, external::ordered_float::OrderedFloat,
};
use shared::{
    ImageId,
    filter::{Field, Filter, Operator, Value, words},
};

use super::{
    super::terms::Says,
    payload::{TERMS, key, point_id, term, time_us},
};

pub(super) fn to_edge(filter: &Filter) -> EdgeFilter {
    EdgeFilter::new_must(condition(filter))
}

/// Images that pass the filter and stand so to a time of creation.
pub(super) fn created(filter: Option<&EdgeFilter>, operator: Operator, time_us: i64) -> EdgeFilter {
    let mut conditions = vec![time_range(&Field::Created, operator, time_us)];
    conditions.extend(filter.cloned().map(Condition::Filter));
    EdgeFilter { must: Some(conditions), ..EdgeFilter::new() }
}

fn condition(filter: &Filter) -> Condition {
    match filter {
        Filter::And(parts) if parts.is_empty() => always(),
        Filter::Or(parts) if parts.is_empty() => never(),
        Filter::And(parts) => all(parts.iter().map(condition).collect()),
        Filter::Or(parts) => any(parts.iter().map(condition).collect()),
        Filter::Not(negated) => not(condition(negated)),
        Filter::Compare { field, operator, value } => compare(field, *operator, value),
    }
}

fn compare(field: &Field, operator: Operator, value: &Value) -> Condition {
    match operator {
        Operator::Equal => equal(field, value),
        Operator::NotEqual => not(equal(field, value)),
        Operator::Has => has(field, value),
        ordering => ordered(field, ordering, value),
    }
}

fn equal(field: &Field, value: &Value) -> Condition {
    match (field, value) {
        (Field::ImageId, Value::Text(text)) => image(text),
        (Field::Name | Field::Caption | Field::ContentType | Field::Custom(_), Value::Text(text)) => {
            has_term(term(field, Says::Is, text))
        }
        (Field::Partial | Field::Custom(_), Value::Boolean(truth)) => has_term(term(field, Says::IsTruth(*truth), "")),
        _ => ordered(field, Operator::Equal, value),
    }
}

fn has(field: &Field, value: &Value) -> Condition {
    match (field, value) {
        (_, Value::Any) => present(field),
        (Field::Tags, Value::Text(tag)) => has_term(term(field, Says::Is, tag)),
        (Field::ImageId, Value::Text(text)) => all_words(text, |word| image(&word)),
        (Field::Name | Field::Caption | Field::ContentType | Field::Custom(_), Value::Text(text)) => {
            all_words(text, |word| has_term(term(field, Says::HasWord, &word)))
        }
        (_, Value::Text(_)) => never(),
        _ => equal(field, value),
    }
}

fn present(field: &Field) -> Condition {
    match field {
        Field::ImageId | Field::SizeBytes | Field::Created | Field::ContentType => always(),
        Field::Width | Field::Height | Field::AspectRatio => number_range(field, Operator::GreaterOrEqual, f64::MIN),
        Field::Captured => time_range(field, Operator::GreaterOrEqual, time_us(jiff::Timestamp::MIN)),
        Field::Name | Field::Caption | Field::Tags | Field::Partial | Field::Custom(_) => {
            has_term(term(field, Says::IsPresent, ""))
        }
    }
}

fn ordered(field: &Field, operator: Operator, value: &Value) -> Condition {
    match (field, value) {
        (
            Field::Width | Field::Height | Field::AspectRatio | Field::SizeBytes | Field::Custom(_),
            Value::Number(number),
        ) => number_range(field, operator, *number),
        (Field::Created | Field::Captured, Value::Time(time)) => time_range(field, operator, time_us(*time)),
        _ => never(),
    }
}

fn all_words(text: &str, condition: impl Fn(String) -> Condition) -> Condition {
    let words: Vec<_> = words(text).map(condition).collect();
    if words.is_empty() { never() } else { all(words) }
}

fn image(text: &str) -> Condition {
    text.parse::<ImageId>()
        .map_or_else(|_| never(), |image_id| Condition::HasId(HasIdCondition::from_iter([point_id(image_id)])))
}

fn has_term(term: String) -> Condition {
    Condition::Field(FieldCondition::new_match(path(TERMS), Match::new_value(ValueVariants::String(term))))
}

fn number_range(field: &Field, operator: Operator, number: f64) -> Condition {
    // Adding zero turns −0 into 0, which it equals.
    let range = range(operator, OrderedFloat(number + 0.0));
    Condition::Field(FieldCondition::new_range(path(&key(field)), range))
}

fn time_range(field: &Field, operator: Operator, time_us: i64) -> Condition {
    let Some(time) = DateTimeWrapper::from_timestamp(time_us) else { return never() };
    Condition::Field(FieldCondition::new_datetime_range(path(&key(field)), range(operator, time)))
}

fn range<T: Copy>(operator: Operator, bound: T) -> Range<T> {
    let mut range = Range { lt: None, gt: None, gte: None, lte: None };
    match operator {
        Operator::Less => range.lt = Some(bound),
        Operator::LessOrEqual => range.lte = Some(bound),
        Operator::Greater => range.gt = Some(bound),
        Operator::GreaterOrEqual => range.gte = Some(bound),
        Operator::Equal | Operator::NotEqual | Operator::Has => (range.gte, range.lte) = (Some(bound), Some(bound)),
    }
    range
}

/// Only keys that we make ourselves come here; none needs quotes.
pub(super) fn path(key: &str) -> JsonPath {
    key.parse().unwrap_or_else(|()| unreachable!("{key:?} is made of letters, digits, `_` and `.`"))
}

fn all(conditions: Vec<Condition>) -> Condition {
    Condition::Filter(EdgeFilter { must: Some(conditions), ..EdgeFilter::new() })
}

fn any(conditions: Vec<Condition>) -> Condition {
    Condition::Filter(EdgeFilter { should: Some(conditions), ..EdgeFilter::new() })
}

fn not(condition: Condition) -> Condition {
    Condition::Filter(EdgeFilter::new_must_not(condition))
}

fn never() -> Condition {
    Condition::HasId(HasIdCondition::from_iter([]))
}

fn always() -> Condition {
    not(never())
}
