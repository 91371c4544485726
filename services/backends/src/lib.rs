//! The three ports to durable state (objects, queue, index), their adapters, and what is built on the ports alone.
//! Nobody outside this crate names an adapter; `open` is the only place that chooses one.

pub mod active;
pub mod archive;
pub mod availability;
pub mod calibration;
pub mod check;
pub mod error;
pub mod fill;
pub mod index;
pub mod intake;
pub mod keys;
pub mod lock;
pub mod metadata;
pub mod model_registry;
pub mod models;
pub mod objects;
mod observed;
pub mod projection;
pub mod queue;
pub mod records;
pub mod reindex;
pub mod repair;
pub mod stores;
pub mod survey;
pub mod sweep;
#[cfg(test)]
mod testing;

pub use self::stores::{Stores, open};
