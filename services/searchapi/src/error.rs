//! The one map from faults of a search to what a client is told.

use backends::index::IndexError;
use embedding::{EmbedError, ModelError, decode::DecodeError};
use shared::http::Problem;

use crate::search::SearchError;

impl From<SearchError> for Problem {
    fn from(fault: SearchError) -> Self {
        match &fault {
            SearchError::EmptyText | SearchError::EmptyQuery => Self::empty_query(fault.to_string()),
            SearchError::TextWeight(_) | SearchError::MinRelevance(_) | SearchError::Limit { .. } => {
                Self::bad_request(fault.to_string())
            }
            SearchError::CalibrationAway => Self::unavailable("objects", &fault),
            SearchError::NotCalibrated => Self::not_calibrated(fault.to_string()),
            SearchError::NoDirection => Self::unprocessable(fault.to_string()),
            SearchError::NotFound(_) => Self::not_found(fault.to_string()),
            SearchError::Embed(fault) => embedding_problem(fault),
            SearchError::Index(fault) => index_problem(fault),
        }
    }
}

fn index_problem(fault: &IndexError) -> Problem {
    match fault {
        IndexError::Window { .. } => Problem::search_window(fault.to_string()),
        IndexError::Cursor => Problem::bad_request(fault.to_string()),
        IndexError::Unavailable { .. } | IndexError::ForeignStore { .. } => Problem::unavailable("index", fault),
        // Queries are unit vectors of the model whose collection is asked; anything else is our mistake.
        IndexError::UnusableVector(_) => Problem::internal(fault),
    }
}

fn embedding_problem(fault: &EmbedError) -> Problem {
    match fault {
        EmbedError::Decode(DecodeError::UnsupportedType(_)) => Problem::unsupported_type(fault.to_string()),
        EmbedError::Decode(DecodeError::TooLarge { .. }) => Problem::too_large(fault.to_string()),
        EmbedError::Decode(DecodeError::Corrupt { .. }) => Problem::unprocessable(fault.to_string()),
        EmbedError::Model(ModelError::EmptyText) => Problem::empty_query(fault.to_string()),
        EmbedError::Model(cause) if cause.is_permanent() => Problem::unprocessable(fault.to_string()),
        EmbedError::Model(cause) => Problem::internal(cause),
    }
}
