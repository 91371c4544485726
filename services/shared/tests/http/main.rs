//! The HTTP kit, asked over real sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod errors;
mod limits;
mod seen;
mod starting;
mod world;
