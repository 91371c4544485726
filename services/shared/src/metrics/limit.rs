//! What is bounded, how much of it is used, and which circuits are open.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    label::closed_label,
};

closed_label! {
    pub Resource {
        /// Requests whose answer has not begun, of all servers of the process, the admin port too; one more is answered 503.
        Requests = "requests",
        /// Jobs that a worker holds; it fetches no more.
        Jobs = "jobs",
        /// Resized copies that are made; one more waits.
        Renders = "renders",
    }
}

closed_label! {
    /// Who stops asking a store that is away.
    pub Circuit {
        /// Workers, of all three stores.
        Ingest = "ingest",
        /// Searches, of the index.
        Search = "search",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabels {
    pub resource: Resource,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CircuitLabels {
    pub circuit: Circuit,
}

const RESOURCES: &[Label] = &[Label { name: "resource", values: Values::Closed(Resource::VALUES) }];

pub(super) static LIMITS: Metric<Family<ResourceLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_limit",
        kind: Kind::Gauge,
        unit: None,
        labels: RESOURCES,
        help: "How many of a bounded resource there are at most",
        exposed_by: Exposer::EVERYBODY,
    },
    Family::default,
);

pub(super) static IN_USE: Metric<Family<ResourceLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_limit_used",
        kind: Kind::Gauge,
        unit: None,
        labels: RESOURCES,
        help: "How many of a bounded resource are in use",
        exposed_by: Exposer::EVERYBODY,
    },
    Family::default,
);

pub(super) static CIRCUITS: Metric<Family<CircuitLabels, Gauge<u64, AtomicU64>>> = Metric::new(
    Definition {
        name: "imagesearch_circuit_open",
        kind: Kind::Gauge,
        unit: None,
        labels: &[Label { name: "circuit", values: Values::Closed(Circuit::VALUES) }],
        help: "1 while a store is known to be away and is not asked",
        exposed_by: &[Exposer::Ingestworker, Exposer::Searchapi],
    },
    Family::default,
);

/// Tells of a limit. Where several bound the same resource of a process, they add up.
pub fn add(resource: Resource, most: usize) {
    LIMITS.get_or_create(&ResourceLabels { resource }).inc_by(i64::try_from(most).unwrap_or(i64::MAX));
    drop(IN_USE.get_or_create(&ResourceLabels { resource }));
}

/// Takes back what `add` told, once what was bounded is gone.
pub fn remove(resource: Resource, most: usize) {
    LIMITS.get_or_create(&ResourceLabels { resource }).dec_by(i64::try_from(most).unwrap_or(i64::MAX));
}

/// One of a resource, in use until this is dropped.
#[must_use]
pub struct Used(Resource);

impl Used {
    pub fn begin(resource: Resource) -> Self {
        IN_USE.get_or_create(&ResourceLabels { resource }).inc();
        Self(resource)
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        IN_USE.get_or_create(&ResourceLabels { resource: self.0 }).dec();
    }
}

/// Tells whether a circuit is open.
pub fn set_open(circuit: Circuit, is_open: bool) {
    CIRCUITS.get_or_create(&CircuitLabels { circuit }).set(is_open.into());
}
