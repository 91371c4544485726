//! What can be wrong with a configuration. Everything that is wrong is told at once.

use std::{fmt, io};

use camino::Utf8PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}")]
    Read {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the configuration file {path} is not a YAML mapping: {reason}")]
    Parse { path: Utf8PathBuf, reason: String },
    #[error("the configuration can't be used:{}", List(.0))]
    Invalid(Vec<ConfigProblem>),
    #[error("cannot print the configuration as YAML")]
    Print(#[source] serde_saphyr::SerializeError),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    #[error("{origin} sets {key}, which doesn't exist; did you mean {nearest}")]
    UnknownKey { origin: Origin, key: String, nearest: String },
    #[error("{key}: {reason}")]
    Value { key: String, reason: String },
    #[error("{variable}: cannot read the file {path:?} that it names: {reason}")]
    SecretFile { variable: String, path: String, reason: String },
    #[error("{variable} is not UTF-8 text; set it anew, or unset it")]
    NotText { variable: String },
    #[error("{variable} and {variable}_FILE are both set; keep one")]
    SetTwice { variable: String },
}

/// Who set a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(Utf8PathBuf),
    /// The variable's name as it was given.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(formatter),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}

struct List<'a>(&'a [ConfigProblem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  - {problem}"))
    }
}
