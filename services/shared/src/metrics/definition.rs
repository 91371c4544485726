//! What a metric is, said once: it is registered by this, and `docs/metrics.md` is written from it.

use std::{fmt, ops::Deref, sync::LazyLock};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::MetricType,
    registry::{Metric as Registrable, Registry, Unit},
};

/// A metric, as those read of it who look at a dashboard.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Without the endings that unit and type give it.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Option<Unit>,
    pub labels: &'static [Label],
    /// One sentence without a full stop.
    pub help: &'static str,
    pub exposed_by: &'static [Exposer],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// A label and all that it can be.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Nothing else.
    Closed(&'static [&'static str]),
    /// As many as the words say.
    Bounded(&'static str),
}

/// Who has a metric on its admin port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposer {
    Ingestapi,
    Ingestworker,
    Searchapi,
    Cdnapi,
    Operator,
}

impl Exposer {
    /// `imagesearch up` is all of these in one process.
    pub const SERVICES: &'static [Self] = &[Self::Ingestapi, Self::Ingestworker, Self::Searchapi, Self::Cdnapi];
    pub const HTTP: &'static [Self] = &[Self::Ingestapi, Self::Searchapi, Self::Cdnapi];
    pub const EVERYBODY: &'static [Self] =
        &[Self::Ingestapi, Self::Ingestworker, Self::Searchapi, Self::Cdnapi, Self::Operator];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ingestapi => "ingestapi",
            Self::Ingestworker => "ingestworker",
            Self::Searchapi => "searchapi",
            Self::Cdnapi => "cdnapi",
            Self::Operator => "operator",
        }
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    fn matches(self, registered: MetricType) -> bool {
        matches!(
            (self, registered),
            (Self::Counter, MetricType::Counter)
                | (Self::Gauge, MetricType::Gauge)
                | (Self::Histogram, MetricType::Histogram)
                | (Self::Info, MetricType::Info)
        )
    }
}

impl Definition {
    /// As it is asked for in a query; of a histogram without `_bucket`, `_sum` or `_count`.
    pub fn full_name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{ending}", self.name)
    }

    pub fn register(&self, registry: &mut Registry, metric: impl Registrable) {
        debug_assert!(self.kind.matches(metric.metric_type()), "{} is no {}", self.name, self.kind.name());
        match self.unit.clone() {
            Some(unit) => registry.register_with_unit(self.name, self.help, unit, metric),
            None => registry.register(self.name, self.help, metric),
        }
    }

    /// For a [`Collector`], which describes its metrics itself.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>, metric: &impl EncodeMetric) -> fmt::Result {
        let help = format!("{}.", self.help);
        metric.encode(encoder.encode_descriptor(self.name, &help, self.unit.as_ref(), metric.metric_type())?)
    }
}

/// A metric of the whole process, as `tracing` is: whoever has something to count counts it here, and the admin port shows
/// it. Without this, every constructor between the admin port and a cache would pass handles on.
pub(crate) struct Metric<M: 'static> {
    definition: Definition,
    metric: LazyLock<M>,
}

impl<M> Metric<M> {
    pub(crate) const fn new(definition: Definition, make: fn() -> M) -> Self {
        Self { definition, metric: LazyLock::new(make) }
    }
}

impl<M> Deref for Metric<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.metric
    }
}

/// Any [`Metric`].
pub(crate) trait Registered: Sync {
    fn definition(&'static self) -> &'static Definition;

    fn register(&self, registry: &mut Registry);
}

impl<M: Registrable + Clone> Registered for Metric<M> {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn register(&self, registry: &mut Registry) {
        self.definition.register(registry, M::clone(self));
    }
}

/// What is read only when somebody asks.
pub(crate) trait Collecting: Collector {
    fn definitions() -> Vec<&'static Definition>;
}
