//! Writes a filter so that it reads back as the same one.

use std::fmt::{self, Display, Write};

use super::{Field, Filter, Value, scanner::is_name_character};

impl Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => write_joined(formatter, parts, " AND ", |part| matches!(part, Self::And(_))),
            Self::Or(parts) => {
                write_joined(formatter, parts, " OR ", |part| matches!(part, Self::And(_) | Self::Or(_)))
            }
            Self::Not(negated) => {
                formatter.write_str("NOT ")?;
                write_part(formatter, negated, !matches!(**negated, Self::Compare { .. }))
            }
            Self::Compare { field, operator, value } => write!(formatter, "{field} {} {value}", operator.symbol()),
        }
    }
}

fn write_joined(
    formatter: &mut fmt::Formatter<'_>,
    parts: &[Filter],
    separator: &str,
    needs_parentheses: impl Fn(&Filter) -> bool,
) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            formatter.write_str(separator)?;
        }
        write_part(formatter, part, needs_parentheses(part))?;
    }
    Ok(())
}

fn write_part(formatter: &mut fmt::Formatter<'_>, part: &Filter, in_parentheses: bool) -> fmt::Result {
    if in_parentheses { write!(formatter, "({part})") } else { part.fmt(formatter) }
}

impl Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.system_name())?;
        let Self::Custom(name) = self else { return Ok(()) };
        formatter.write_char('.')?;
        if !name.is_empty() && name.chars().all(is_name_character) {
            formatter.write_str(name)
        } else {
            write_quoted(formatter, name)
        }
    }
}

impl Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_quoted(formatter, text),
            Self::Number(number) => number.fmt(formatter),
            Self::Boolean(boolean) => boolean.fmt(formatter),
            Self::Time(time) => write_quoted(formatter, &time.to_string()),
            Self::Any => formatter.write_char('*'),
        }
    }
}

fn write_quoted(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            formatter.write_char('\\')?;
        }
        formatter.write_char(character)?;
    }
    formatter.write_char('"')
}
