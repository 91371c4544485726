//! What a worker promises, on real stores and the bundled model.

#![allow(clippy::unwrap_used)]

mod jobs;
mod urls;
mod world;
