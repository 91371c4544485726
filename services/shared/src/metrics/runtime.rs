//! What tokio's runtime says of itself, as far as it is stable.

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use tokio::runtime::RuntimeMetrics;

use super::definition::{Collecting, Definition, Exposer, Kind};

/// Read whenever metrics are asked for.
#[derive(Debug)]
pub(crate) struct RuntimeCollector(pub(crate) RuntimeMetrics);

const fn of_runtime(name: &'static str, kind: Kind, unit: Option<Unit>, help: &'static str) -> Definition {
    Definition { name, kind, unit, labels: &[], help, exposed_by: Exposer::EVERYBODY }
}

static WORKERS: Definition = of_runtime("tokio_workers", Kind::Gauge, None, "Threads that run asynchronous tasks");
static ALIVE: Definition = of_runtime("tokio_alive_tasks", Kind::Gauge, None, "Tasks that have not ended");
static QUEUED: Definition = of_runtime(
    "tokio_global_queue_tasks",
    Kind::Gauge,
    None,
    "Tasks that wait for any thread; many, for long, mean that threads are blocked or too few",
);
static BUSY: Definition = of_runtime(
    "tokio_workers_busy",
    Kind::Counter,
    Some(Unit::Seconds),
    "Time that all threads together spent running tasks",
);
static PARKED: Definition =
    of_runtime("tokio_workers_parks", Kind::Counter, None, "How often a thread had nothing to do");

impl Collecting for RuntimeCollector {
    fn definitions() -> Vec<&'static Definition> {
        vec![&WORKERS, &ALIVE, &QUEUED, &BUSY, &PARKED]
    }
}

impl Collector for RuntimeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Self(runtime) = self;
        let workers = 0..runtime.num_workers();
        let busy: f64 = workers.clone().map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
        let parks: u64 = workers.map(|worker| runtime.worker_park_count(worker)).sum();
        WORKERS.encode(&mut encoder, &ConstGauge::new(runtime.num_workers() as i64))?;
        ALIVE.encode(&mut encoder, &ConstGauge::new(runtime.num_alive_tasks() as i64))?;
        QUEUED.encode(&mut encoder, &ConstGauge::new(runtime.global_queue_depth() as i64))?;
        BUSY.encode(&mut encoder, &ConstCounter::new(busy))?;
        PARKED.encode(&mut encoder, &ConstCounter::new(parks))
    }
}
