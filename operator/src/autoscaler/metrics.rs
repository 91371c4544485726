//! What the autoscaler tells Prometheus.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use shared::{
    metrics::{Definition, Kind},
    telemetry::Metrics,
};

use super::{StackRef, lag::Lag};
use crate::metrics::{OF_STACK, StackLabels, of_operator};

static LAG: Definition =
    of_operator("imagesearch_operator_lag", Kind::Gauge, None, OF_STACK, "Jobs that wait or are in flight");
static IN_FLIGHT: Definition = of_operator(
    "imagesearch_operator_in_flight",
    Kind::Gauge,
    None,
    OF_STACK,
    "Jobs that a worker has, or that wait for another try",
);
static DESIRED: Definition =
    of_operator("imagesearch_operator_desired_replicas", Kind::Gauge, None, OF_STACK, "Workers that there should be");
static HELD: Definition = of_operator(
    "imagesearch_operator_scaling_held",
    Kind::Gauge,
    None,
    OF_STACK,
    "1 while the workers of a stack are not scaled, because the lag can't be read or a store is away, else 0",
);
static READ_ERRORS: Definition = of_operator(
    "imagesearch_operator_lag_read_errors",
    Kind::Counter,
    None,
    OF_STACK,
    "Readings of the lag that failed",
);

/// For `docs/metrics.md`.
pub(crate) fn definitions() -> [&'static Definition; 5] {
    [&LAG, &IN_FLIGHT, &DESIRED, &HELD, &READ_ERRORS]
}

#[derive(Debug, Clone)]
pub(super) struct AutoscalerMetrics {
    lag: Family<StackLabels, Gauge>,
    in_flight: Family<StackLabels, Gauge>,
    desired_replicas: Family<StackLabels, Gauge>,
    held: Family<StackLabels, Gauge>,
    read_errors: Family<StackLabels, Counter>,
}

impl AutoscalerMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let this = Self {
            lag: Family::default(),
            in_flight: Family::default(),
            desired_replicas: Family::default(),
            held: Family::default(),
            read_errors: Family::default(),
        };
        metrics.register(|registry| {
            LAG.register(registry, this.lag.clone());
            IN_FLIGHT.register(registry, this.in_flight.clone());
            DESIRED.register(registry, this.desired_replicas.clone());
            HELD.register(registry, this.held.clone());
            READ_ERRORS.register(registry, this.read_errors.clone());
        });
        this
    }

    /// A reading, or none. What was read last stays.
    pub(super) fn read(&self, stack: &StackRef, lag: Option<&Lag>, is_held: bool) {
        let labels = StackLabels::from(stack);
        self.held.get_or_create(&labels).set(is_held.into());
        let Some(lag) = lag else {
            self.read_errors.get_or_create(&labels).inc();
            return;
        };
        self.lag.get_or_create(&labels).set(lag.total() as i64);
        self.in_flight.get_or_create(&labels).set(lag.in_flight as i64);
        // There from the first reading on, so that a rate sees the first error.
        drop(self.read_errors.get_or_create(&labels));
    }

    pub(super) fn desired(&self, stack: &StackRef, replicas: Option<i32>) {
        let labels = StackLabels::from(stack);
        match replicas {
            Some(replicas) => drop(self.desired_replicas.get_or_create(&labels).set(replicas.into())),
            None => drop(self.desired_replicas.remove(&labels)),
        }
    }

    pub(super) fn remove(&self, stack: &StackRef) {
        let labels = StackLabels::from(stack);
        self.lag.remove(&labels);
        self.in_flight.remove(&labels);
        self.desired_replicas.remove(&labels);
        self.held.remove(&labels);
        self.read_errors.remove(&labels);
    }
}
