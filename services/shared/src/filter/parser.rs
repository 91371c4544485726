//! Recursive descent over AIP-160's grammar, with types checked as it goes.
//!
//! ```text
//! filter      = [expression]
//! expression  = factor { "AND" factor }
//! factor      = term { "OR" term }                OR binds tighter than AND, as in AIP-160
//! term        = [ "NOT" | "-" ] ( "(" expression ")" | term | restriction )
//! restriction = field comparator value
//! field       = NAME | "fields" "." ( NAME | STRING )
//! comparator  = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
//! value       = STRING | TEXT | "*"
//! ```

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    Field, Filter, Operator, Value,
    error::{FilterError, FilterFault},
    evaluate::words,
    scanner::{Literal, Scanner},
    schema::{Kind, nearest_field},
};

/// Characters of a filter. Far above what people write, far below what could hurt.
pub const MAX_LENGTH: usize = 4096;

/// Parentheses and negations inside each other: bounds the stack of everything that walks a filter.
pub const MAX_DEPTH: usize = 32;

/// Reads a filter; an empty one matches everything.
///
/// # Errors
/// `FilterError` names the column and what was expected there.
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.chars().nth(MAX_LENGTH).is_some() {
        return Err(FilterError { column: MAX_LENGTH + 1, fault: FilterFault::TooLong });
    }
    let mut parser = Parser { scanner: Scanner::new(text), depth: 0 };
    parser.scanner.skip_space();
    if parser.scanner.peek().is_none() {
        return Ok(Filter::And(Vec::new()));
    }
    let filter = parser.expression()?;
    match parser.scanner.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.scanner.unexpected("AND, OR or the end")),
    }
}

struct Parser {
    scanner: Scanner,
    depth: usize,
}

impl Parser {
    fn expression(&mut self) -> Result<Filter, FilterError> {
        let factors = self.separated("AND", Self::factor)?;
        Ok(one_or(factors, Filter::And))
    }

    fn factor(&mut self) -> Result<Filter, FilterError> {
        let terms = self.separated("OR", Self::term)?;
        Ok(one_or(terms, Filter::Or))
    }

    fn separated(
        &mut self,
        keyword: &str,
        parse_part: impl Fn(&mut Self) -> Result<Filter, FilterError>,
    ) -> Result<Vec<Filter>, FilterError> {
        let mut parts = vec![parse_part(self)?];
        self.scanner.skip_space();
        while self.scanner.take_keyword(keyword) {
            parts.push(parse_part(self)?);
            self.scanner.skip_space();
        }
        Ok(parts)
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        self.scanner.skip_space();
        if self.scanner.take_keyword("NOT") || self.scanner.take('-') {
            let negated = self.nested(Self::term)?;
            return Ok(Filter::Not(Box::new(negated)));
        }
        if !self.scanner.take('(') {
            return self.restriction();
        }
        let inner = self.nested(Self::expression)?;
        self.scanner.skip_space();
        if self.scanner.take(')') { Ok(inner) } else { Err(self.scanner.unexpected("AND, OR or `)`")) }
    }

    fn nested(
        &mut self,
        parse_inner: impl Fn(&mut Self) -> Result<Filter, FilterError>,
    ) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault_at(self.scanner.column() - 1, FilterFault::TooDeep));
        }
        let inner = parse_inner(self);
        self.depth -= 1;
        inner
    }

    fn restriction(&mut self) -> Result<Filter, FilterError> {
        let field = self.field()?;
        self.scanner.skip_space();
        let operator_column = self.scanner.column();
        let operator = self
            .scanner
            .take_operator()
            .ok_or_else(|| self.scanner.unexpected("one of `=`, `!=`, `<`, `<=`, `>`, `>=` or `:`"))?;
        self.scanner.skip_space();
        let value = self.value(&field, operator, operator_column)?;
        Ok(Filter::Compare { field, operator, value })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let column = self.scanner.column();
        let expected = self.scanner.unexpected("a field name, NOT or `(`");
        let name = self.scanner.take_name();
        if matches!(name.as_str(), "" | "AND" | "OR") {
            return Err(expected);
        }
        if name == "fields" {
            return self.custom_field();
        }
        Field::from_system_name(&name).ok_or_else(|| {
            let nearest = nearest_field(&name);
            self.fault_at(column, FilterFault::UnknownField { name: name.chars().take(40).collect(), nearest })
        })
    }

    fn custom_field(&mut self) -> Result<Field, FilterError> {
        if !self.scanner.take('.') {
            return Err(self.scanner.unexpected("`.` and the name of one of your fields"));
        }
        if let Some(name) = self.scanner.take_quoted()? {
            return Ok(Field::Custom(name));
        }
        let name = self.scanner.take_name();
        if name.is_empty() {
            return Err(self
                .scanner
                .unexpected("the name of one of your fields, in quotes unless letters, digits and `_` spell it"));
        }
        Ok(Field::Custom(name))
    }

    fn value(&mut self, field: &Field, operator: Operator, operator_column: usize) -> Result<Value, FilterError> {
        let column = self.scanner.column();
        let kind = field.kind();
        let expected = if operator == Operator::Has && kind != Kind::Scalar { "a text or `*`" } else { kind.values() };
        let before = self.scanner.unexpected(expected);
        let literal = self.scanner.take_literal()?.ok_or_else(|| before.clone())?;
        if operator == Operator::Has && literal == Literal::Bare("*".into()) {
            return Ok(Value::Any);
        }
        let refused = || {
            let fault = FilterFault::Operator {
                field: field.to_string(),
                operator: operator.symbol(),
                allowed: kind.operators(),
            };
            self.fault_at(operator_column, fault)
        };
        if !kind.takes(operator) {
            return Err(refused());
        }
        let value = typed(kind, literal).ok_or(before)?;
        match &value {
            Value::Text(_) | Value::Boolean(_) if operator.is_ordering() => Err(refused()),
            Value::Text(text)
                if operator == Operator::Has && kind != Kind::TextList && words(text).next().is_none() =>
            {
                Err(self.fault_at(
                    column,
                    FilterFault::Unexpected { expected: "a text with a word in it".into(), found: "none".into() },
                ))
            }
            _ => Ok(value),
        }
    }

    #[allow(clippy::unused_self)] // reads as what it is: a fault of this filter
    fn fault_at(&self, column: usize, fault: FilterFault) -> FilterError {
        FilterError { column, fault }
    }
}

fn one_or(mut parts: Vec<Filter>, combine: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            combine(parts)
        }
    }
}

/// The literal as a value of the kind; none when it isn't one. Quotes make a text of what looks like a number.
fn typed(kind: Kind, literal: Literal) -> Option<Value> {
    match (kind, literal) {
        (Kind::Text | Kind::TextList, Literal::Bare(text)) if text == "*" => None,
        (Kind::Text | Kind::TextList, Literal::Quoted(text) | Literal::Bare(text))
        | (Kind::Scalar, Literal::Quoted(text)) => Some(Value::Text(text)),
        (Kind::Time, Literal::Quoted(text) | Literal::Bare(text)) => time(&text).map(Value::Time),
        (Kind::Number, Literal::Bare(text)) => number(&text).map(Value::Number),
        (Kind::Boolean, Literal::Bare(text)) => boolean(&text).map(Value::Boolean),
        (Kind::Scalar, Literal::Bare(text)) if text == "*" => None,
        (Kind::Scalar, Literal::Bare(text)) => Some(
            boolean(&text)
                .map(Value::Boolean)
                .or_else(|| number(&text).map(Value::Number))
                .unwrap_or(Value::Text(text)),
        ),
        (Kind::Number | Kind::Boolean, Literal::Quoted(_)) => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A finite decimal number; Rust alone would also take `inf` and `nan`.
fn number(text: &str) -> Option<f64> {
    let looks_numeric = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && text.chars().any(|character| character.is_ascii_digit());
    looks_numeric.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

/// An RFC 3339 time, or a date for its midnight in UTC.
fn time(text: &str) -> Option<Timestamp> {
    // jiff also reads shorter and longer forms of both; the language has these two.
    if text.len() == "2025-01-31".len() {
        let date: Date = text.parse().ok()?;
        return TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    }
    text.parse().ok()
}
