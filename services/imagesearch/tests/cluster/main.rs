//! The roles as processes of their own, over a real NATS, S3 and Milvus: what is promised for one process holds here too,
//! whatever of it is killed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod bucket;
mod cluster;
mod faults;
mod flow;
#[path = "../hub/mod.rs"]
mod hub;
mod load;
mod model;
mod model_change;
mod queue;
mod secrets;
mod starting;
mod traces;
