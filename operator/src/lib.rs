//! The operator: makes what an `ImageSearchStack` describes, keeps it so, and scales its workers.

pub mod autoscaler;
pub mod cli;
pub mod controller;
pub mod crd;
pub mod election;
pub mod metrics;
pub mod process;
