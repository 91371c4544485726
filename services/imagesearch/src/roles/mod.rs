//! How the parts become a process.

pub(crate) mod alone;
pub(crate) mod api;
pub(crate) mod change;
pub(crate) mod model;
mod open_files;
mod process;
mod services;
pub(crate) mod signals;
mod starting;
mod stock;
mod sweeper;
mod ui;
pub(crate) mod up;
