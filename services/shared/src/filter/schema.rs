//! The fields that can be filtered by, their types, and the operators that each type takes.

use super::{Field, Operator};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    TextList,
    Number,
    Boolean,
    Time,
    /// Whatever scalar the user stored.
    Scalar,
}

const SYSTEM_FIELDS: [(&str, Field); 12] = [
    ("image_id", Field::ImageId),
    ("width", Field::Width),
    ("height", Field::Height),
    ("aspect_ratio", Field::AspectRatio),
    ("size_bytes", Field::SizeBytes),
    ("content_type", Field::ContentType),
    ("name", Field::Name),
    ("created", Field::Created),
    ("captured", Field::Captured),
    ("tags", Field::Tags),
    ("caption", Field::Caption),
    ("partial", Field::Partial),
];

/// Two names further apart than this are not a slip of the keyboard.
const NEAREST_AT_LEAST: f64 = 0.7;

impl Field {
    /// The field's name in a filter, without the user's own part.
    pub(super) fn system_name(&self) -> &'static str {
        SYSTEM_FIELDS.iter().find(|(_, field)| field == self).map_or("fields", |(name, _)| name)
    }

    pub(super) fn from_system_name(name: &str) -> Option<Self> {
        SYSTEM_FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Width | Self::Height | Self::AspectRatio | Self::SizeBytes => Kind::Number,
            Self::ImageId | Self::ContentType | Self::Name | Self::Caption => Kind::Text,
            Self::Created | Self::Captured => Kind::Time,
            Self::Tags => Kind::TextList,
            Self::Partial => Kind::Boolean,
            Self::Custom(_) => Kind::Scalar,
        }
    }
}

/// The known field whose name is most like this one, if any is like it at all.
pub(super) fn nearest_field(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    SYSTEM_FIELDS
        .iter()
        .map(|(known, _)| *known)
        .chain(["fields"])
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(similarity, _)| *similarity >= NEAREST_AT_LEAST)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| if known == "fields" { "fields.NAME".into() } else { known.into() })
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Has => ":",
        }
    }

    pub(super) fn is_ordering(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}

impl Kind {
    /// Whether a value of this kind may stand on the right of the operator (`:*` is always fine and not asked for).
    pub(super) fn takes(self, operator: Operator) -> bool {
        match self {
            Self::Text => !operator.is_ordering(),
            Self::TextList => operator == Operator::Has,
            Self::Number | Self::Time => operator != Operator::Has,
            Self::Boolean => matches!(operator, Operator::Equal | Operator::NotEqual),
            Self::Scalar => true,
        }
    }

    /// For people: the operators that the kind takes.
    pub(super) fn operators(self) -> &'static str {
        match self {
            Self::Text => "`=`, `!=` or `:`",
            Self::TextList => "`:`",
            Self::Number | Self::Time => "`=`, `!=`, `<`, `<=`, `>`, `>=` or `:*`",
            Self::Boolean => "`=`, `!=` or `:*`",
            Self::Scalar => "`=`, `!=`, `:`, or with a number `<`, `<=`, `>`, `>=`",
        }
    }

    /// For people: the values that the kind takes.
    pub(super) fn values(self) -> &'static str {
        match self {
            Self::Text | Self::TextList => "a text",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Time => "a date (2025-01-31) or a time (2025-01-31T12:00:00Z)",
            Self::Scalar => "a text, a number, true or false",
        }
    }
}
