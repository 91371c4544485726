//! The filter language: a subset of AIP-160 over system fields and user metadata.
//! Source: <https://google.aip.dev/160>; what users read of it is in `docs/filters.md`.
//!
//! `parse` reads it and checks types, `Display` writes it so that it reads back the same, and `Filter::matches` says what
//! it means: adapters of the index translate a filter into their own terms and must agree with `matches`.

mod display;
mod error;
mod evaluate;
mod parser;
mod scanner;
mod schema;
#[cfg(test)]
mod tests;

pub use error::{FilterError, FilterFault};
pub use evaluate::words;
pub use parser::{MAX_DEPTH, MAX_LENGTH, parse};

/// A parsed filter; every adapter translates it into its own terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them; without any, everything matches.
    And(Vec<Filter>),
    /// One of them; without any, nothing matches.
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Compare {
        field: Field,
        operator: Operator,
        value: Value,
    },
}

/// What can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    ImageId,
    Width,
    Height,
    /// `aspect_ratio`: width by height, upright; above 1 is landscape.
    AspectRatio,
    SizeBytes,
    ContentType,
    Name,
    Created,
    Captured,
    Tags,
    Caption,
    Partial,
    /// `fields.NAME`: what the user stored under that name.
    Custom(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    /// The opposite of `Equal`: also true where the field is absent.
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `:` — a list has the element, a text has the words, `:*` the field is there.
    Has,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    /// Finite.
    Number(f64),
    Boolean(bool),
    /// Compared to the microsecond.
    Time(jiff::Timestamp),
    /// `*`
    Any,
}
