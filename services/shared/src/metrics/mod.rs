//! Every metric of the services: what it is called, what its labels can be, and the functions by which it is counted.
//!
//! A file a subject. A metric is a static, listed in `all`: from there it comes to the admin port and into `docs/metrics.md`.

pub mod backend;
pub mod cache;
mod definition;
mod exposition;
pub mod histogram;
pub mod ingest;
pub(crate) mod label;
pub mod limit;
mod markdown;
mod process;
pub mod query;
mod runtime;
pub mod stock;

use prometheus_client::registry::Registry;

use self::definition::{Collecting, Registered};
pub use self::{
    definition::{Definition, Exposer, Kind, Label, Values},
    markdown::markdown,
};
pub(crate) use self::{exposition::Exposition, process::ProcessCollector, runtime::RuntimeCollector};

pub(crate) static BUILD: Definition = Definition {
    name: "imagesearch_build",
    kind: Kind::Info,
    unit: None,
    labels: &[Label { name: "version", values: Values::Bounded("the version of the program") }],
    help: "What is running",
    exposed_by: Exposer::EVERYBODY,
};

/// Of the process; its collectors and those of its HTTP servers are registered beside them.
fn all() -> [&'static dyn Registered; 20] {
    [
        &backend::CALLS,
        &cache::LOOKUPS,
        &ingest::RECEIVED,
        &ingest::JOBS,
        &ingest::STAGES,
        &ingest::TIME_TO_INDEX,
        &ingest::BATCHES,
        &query::EMBEDDED,
        &limit::LIMITS,
        &limit::IN_USE,
        &limit::CIRCUITS,
        &stock::JOBS,
        &stock::OLDEST,
        &stock::TASKS,
        &stock::VECTORS,
        &stock::MODEL,
        &stock::MODEL_CHANGE,
        &stock::SWEEPS,
        &stock::SWEPT,
        &stock::LAST_SWEEP,
    ]
}

pub(crate) fn register_all(registry: &mut Registry) {
    for metric in all() {
        metric.register(registry);
    }
}

/// What processes of the services expose, the operator what it shares with them.
pub fn definitions() -> Vec<&'static Definition> {
    let ours = all().into_iter().map(Registered::definition);
    [&BUILD, &crate::http::DURATION, &crate::http::ACTIVE]
        .into_iter()
        .chain(ours)
        .chain(RuntimeCollector::definitions())
        .chain(ProcessCollector::definitions())
        .collect()
}
