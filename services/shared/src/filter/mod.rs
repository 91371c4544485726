//! The filter language: a subset of AIP-160 over system fields and user metadata.
//! Source: <https://google.aip.dev/160>.

/// A parsed filter; every adapter translates it into its own terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Compare { field: Field, operator: Operator, value: Value },
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
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `:` — a list has the element, a text has the word, `:*` the field is there.
    Has,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Number(f64),
    Boolean(bool),
    Time(jiff::Timestamp),
    /// `*`
    Any,
}
