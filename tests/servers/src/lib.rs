//! Real servers for tests, on free ports and in folders of their own. Each is killed when its value is dropped or when the
//! test process ends, in whatever way.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod milvus;
mod nats;
mod s3;
mod server;

pub use self::{
    milvus::milvus,
    nats::nats,
    s3::{s3, settings},
    server::Server,
};
