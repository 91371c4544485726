//! `searchapi`: all reads. Texts and pictures find images; filters list them.

mod answer;
mod error;
mod example;
mod latest;
mod query;
mod relevance;
mod router;
pub mod search;

pub use router::{SearchState, router, routes};
pub use search::{Search, SearchError};
