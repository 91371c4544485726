//! The HTTP kit of every role: problem+json, extractors, limits, request ids, keys, graceful shutdown, the admin port.
//! A service builds a router from `extract`'s extractors, puts [`require`] before its routes, and gives it to [`serve`].

mod admin;
mod auth;
mod body;
mod errors;
mod extract;
mod faults;
mod guard;
mod keys;
mod kind;
mod log_filter;
mod metrics;
mod observe;
mod openapi;
mod problem;
pub mod range;
pub mod request_id;
mod routes;
mod scope;
mod server;
pub mod session;
mod socket;

pub use admin::{AdminPort, NotReady, Readiness, serve_admin};
pub use auth::{Auth, Caller, Guarded, OpenBeyondLoopback, RequireScope, require};
pub use body::ClientStalled;
pub use extract::{Json, Multipart, Path, Query};
pub use keys::{CreatedKey, KeyError, KeyFile, KeyRecord};
pub use kind::ProblemKind;
pub use metrics::HttpMetrics;
pub(crate) use metrics::{ACTIVE, DURATION};
pub use openapi::{document, with_docs};
pub use problem::Problem;
pub use routes::Routes;
pub use scope::{Scope, Scopes, UnknownScope};
pub use server::{Kit, ServeError, ShuttingDown, bind, serve};
