//! The operator on a real cluster, with pods: from nothing to found photos, through faults and changes. Run by
//! `make test-cluster`, one test after the other on one stack, which each leaves as it found it.
#![allow(clippy::unwrap_used)]

mod dev_loop;
mod model;
mod monitoring;
mod promises;
mod stack;
