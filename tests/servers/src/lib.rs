//! Real servers for tests, on free ports and in folders of their own. Each is killed when its value is dropped or when the
//! test process ends, in whatever way.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod certificates;
mod jaeger;
mod milvus;
mod model;
mod nats;
mod ports;
mod s3;
mod server;

pub use self::{
    certificates::certificates,
    jaeger::{Jaeger, Span, Trace, jaeger, jaeger_with},
    milvus::{milvus, shared_milvus},
    model::second_model,
    nats::{nats, shared_nats},
    ports::Ports,
    s3::{S3_ENDPOINT, allow_writes, refuse_writes, s3, settings, settings_at, shared_s3},
    server::Server,
};
