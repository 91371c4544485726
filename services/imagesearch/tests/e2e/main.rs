//! The program as users run it: the real binary, real HTTP, the bundled model, real files.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod command_line;
mod command_line_faults;
mod compare;
mod delivery;
#[path = "../hub/mod.rs"]
mod hub;
mod ingest;
mod kill;
mod metrics;
mod model;
mod model_change;
mod photos;
mod problems;
mod process;
mod relevance;
mod search;
mod secrets;
mod server;
mod traces;
