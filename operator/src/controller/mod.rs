//! The controller: for each stack five steps, of which only the outer ones talk to the cluster.

mod apply;
mod build;
mod change;
mod credentials;
pub mod defaults;
mod error;
mod fetch;
mod hash;
mod kinds;
mod model;
mod names;
mod progress;
mod quantity;
mod reasons;
mod run;
mod scaling;
mod stack;
mod status;
#[cfg(test)]
mod tests;
mod validate;
mod volumes;

pub(crate) use self::error::REASONS;
pub use self::run::run;
