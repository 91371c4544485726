//! The HTTP kit of every role: problem+json, extractors, limits, request ids, keys, graceful shutdown, the admin port.
pub mod problem;
pub use problem::Problem;
