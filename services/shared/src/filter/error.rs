//! What is wrong with a filter, and where.

use super::parser::{MAX_DEPTH, MAX_LENGTH};

/// A filter that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter, column {column}: {fault}")]
pub struct FilterError {
    /// Counted in characters, from 1; one past the end when something is missing there.
    pub column: usize,
    pub fault: FilterFault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: String, found: String },
    #[error("unknown field {name:?}; {}", advice(nearest.as_deref()))]
    UnknownField { name: String, nearest: Option<String> },
    #[error("{field} can't be compared with `{operator}`; use {allowed}")]
    Operator { field: String, operator: &'static str, allowed: &'static str },
    #[error("the text that starts here has no closing `{quote}`")]
    OpenText { quote: char },
    #[error("unknown escape `\\{escaped}`; write a backslash as `\\\\`")]
    Escape { escaped: char },
    #[error("nested deeper than {MAX_DEPTH} levels; write it flatter")]
    TooDeep,
    #[error("longer than {MAX_LENGTH} characters; shorten it")]
    TooLong,
}

fn advice(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "known are image_id, width, height, aspect_ratio, size_bytes, content_type, name, created, captured, tags, caption, partial and fields.NAME".into(),
        |name| format!("did you mean {name}?"),
    )
}
