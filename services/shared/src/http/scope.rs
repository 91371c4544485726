//! What a key may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Search, list, see images.
    Read,
    /// Upload, change metadata, see tasks.
    Ingest,
    /// Delete images.
    Delete,
    /// Everything.
    Admin,
}

/// The scopes of one key.
pub type Scopes = BTreeSet<Scope>;

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Ingest, Self::Delete, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ingest => "ingest",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with `scopes` has this one; `admin` has all.
    pub fn is_in(self, scopes: &Scopes) -> bool {
        scopes.contains(&self) || scopes.contains(&Self::Admin)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no scope; use read, ingest, delete or admin")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}
