//! `searchapi`: all reads. Texts and pictures find images; filters list them.

mod answer;
mod error;
mod example;
mod query;
pub mod router;
pub mod search;

pub use router::router;
pub use search::{Search, SearchError};
