//! How the parts become a process.

pub(crate) mod api;
mod ui;
pub(crate) mod up;
