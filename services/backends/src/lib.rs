//! The three ports to durable state (objects, queue, index), their adapters, and what is built on the ports alone.
//! Nobody outside this crate names an adapter; `open` is the only place that chooses one.

pub mod index;
pub mod keys;
pub mod metadata;
pub mod objects;
pub mod queue;
pub mod records;
