//! What the operator counts.

use std::time::{Duration, Instant};

use kube::{Client, Config, client::ClientBuilder};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Unit,
};
use shared::metrics::{Definition, Exposer, Kind, Label, Values};
use tower::util::MapFutureLayer;

use crate::{
    autoscaler::{self, StackRef},
    controller::REASONS,
};

/// Labels of what there is one of for each stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StackLabels {
    // `namespace` alone is the operator's own: whoever scrapes it adds that.
    stack_namespace: String,
    stack: String,
}

impl From<&StackRef> for StackLabels {
    fn from(stack: &StackRef) -> Self {
        Self { stack_namespace: stack.namespace.clone().unwrap_or_default(), stack: stack.name.clone() }
    }
}

pub(crate) const OF_STACK: &[Label] = &[
    Label { name: "stack_namespace", values: Values::Bounded("namespaces that have a stack") },
    Label { name: "stack", values: Values::Bounded("the stacks in them") },
];

pub(crate) const fn of_operator(
    name: &'static str,
    kind: Kind,
    unit: Option<Unit>,
    labels: &'static [Label],
    help: &'static str,
) -> Definition {
    Definition { name, kind, unit, labels, help, exposed_by: &[Exposer::Operator] }
}

static RECONCILES: Definition =
    of_operator("imagesearch_operator_reconciles", Kind::Counter, None, &[], "Reconciles that came to an end");
static ERRORS: Definition = of_operator(
    "imagesearch_operator_reconcile_errors",
    Kind::Counter,
    None,
    &[Label { name: "reason", values: Values::Closed(&REASONS) }],
    "Reconciles that failed and are tried again",
);
static DURATION: Definition = of_operator(
    "imagesearch_operator_reconcile_duration",
    Kind::Histogram,
    Some(Unit::Seconds),
    &[],
    "How long a reconcile took",
);
static READY: Definition = of_operator(
    "imagesearch_operator_stack_ready",
    Kind::Gauge,
    None,
    OF_STACK,
    "1 when a stack's condition Ready is True, else 0",
);
static LEADING: Definition =
    of_operator("imagesearch_operator_leading", Kind::Gauge, None, &[], "1 in the replica that leads, else 0");
static CALLS: Definition = of_operator(
    "imagesearch_operator_kubernetes_call_duration",
    Kind::Histogram,
    Some(Unit::Seconds),
    &[Label { name: "outcome", values: Values::Closed(&["ok", "refused", "unavailable"]) }],
    "Time to the first byte of an answer of the API server; refused are 4xx, unavailable 5xx and no answer",
);

/// What the operator exposes beside what every process does.
pub fn definitions() -> Vec<&'static Definition> {
    let ours = [&RECONCILES, &ERRORS, &DURATION, &READY, &LEADING, &CALLS];
    ours.into_iter().chain(autoscaler::metric_definitions()).collect()
}

/// Handles of the controller's metrics.
#[derive(Clone)]
pub struct Metrics {
    reconciles: Counter,
    errors: Family<Reason, Counter>,
    duration_seconds: Histogram,
    ready: Family<StackLabels, Gauge>,
    leading: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    outcome: &'static str,
}

impl Metrics {
    pub fn register(metrics: &shared::telemetry::Metrics) -> Self {
        let ours = Self {
            reconciles: Counter::default(),
            errors: Family::default(),
            duration_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 12)),
            ready: Family::default(),
            leading: Gauge::default(),
        };
        // There from the start, so that a rate sees the first error.
        for reason in REASONS {
            drop(ours.errors.get_or_create(&Reason { reason }));
        }
        metrics.register(|registry| {
            RECONCILES.register(registry, ours.reconciles.clone());
            ERRORS.register(registry, ours.errors.clone());
            DURATION.register(registry, ours.duration_seconds.clone());
            READY.register(registry, ours.ready.clone());
            LEADING.register(registry, ours.leading.clone());
        });
        ours
    }

    pub fn reconciled(&self, took: Duration, error: Option<&'static str>) {
        self.reconciles.inc();
        self.duration_seconds.observe(took.as_secs_f64());
        if let Some(reason) = error {
            self.errors.get_or_create(&Reason { reason }).inc();
        }
    }

    pub fn set_ready(&self, stack: &StackRef, is_ready: bool) {
        self.ready.get_or_create(&stack.into()).set(is_ready.into());
    }

    /// The stack is gone.
    pub fn forget(&self, stack: &StackRef) {
        self.ready.remove(&stack.into());
    }

    pub fn set_leading(&self, leads: bool) {
        self.leading.set(leads.into());
    }
}

/// A client of the cluster whose calls are measured.
///
/// # Errors
/// When the configuration can't be used.
pub fn measured_client(config: Config, metrics: &shared::telemetry::Metrics) -> kube::Result<Client> {
    let calls = Family::<CallLabels, Histogram, fn() -> Histogram>::new_with_constructor(|| {
        Histogram::new(exponential_buckets(0.0025, 2.5, 9))
    });
    metrics.register(|registry| CALLS.register(registry, calls.clone()));
    let layer = MapFutureLayer::new(move |answer| measure(answer, calls.clone()));
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

async fn measure<B, E>(
    answer: impl Future<Output = Result<http::Response<B>, E>>,
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
) -> Result<http::Response<B>, E> {
    let started = Instant::now();
    let answer = answer.await;
    let outcome = match &answer {
        Ok(response) if response.status().is_client_error() => "refused",
        Ok(response) if !response.status().is_server_error() => "ok",
        Ok(_) | Err(_) => "unavailable",
    };
    calls.get_or_create(&CallLabels { outcome }).observe(started.elapsed().as_secs_f64());
    answer
}
