//! Rate, errors and duration of requests by route template, named as OpenTelemetry's semantic conventions have it:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

use crate::metrics::{
    Definition, Exposer, Kind, Label, Values,
    histogram::{Durations, DurationsBy, observe},
    label::closed_label,
};

/// What the convention advises, with two finer steps below, because a cached search takes about a millisecond.
const BUCKETS_S: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Every path that no route matches is one value, or strangers could make series without end.
pub(crate) const UNMATCHED: &str = "unmatched";

closed_label! {
    pub(crate) MethodLabel {
        Get = "GET",
        Head = "HEAD",
        Post = "POST",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Options = "OPTIONS",
        /// A client may send any word as a method; the convention has one value for all the others.
        Other = "_OTHER",
    }
}

pub(crate) static DURATION: Definition = Definition {
    name: "http_server_request_duration",
    kind: Kind::Histogram,
    unit: Some(Unit::Seconds),
    labels: &[
        Label { name: "http_request_method", values: Values::Closed(MethodLabel::VALUES) },
        Label {
            name: "http_route",
            values: Values::Bounded("the routes as they are declared, and `unmatched` for every other path"),
        },
        Label {
            name: "http_response_status_code",
            values: Values::Bounded("the statuses that are answered, 499 when the client went away before"),
        },
    ],
    help: "Time to the first byte of a response",
    exposed_by: Exposer::HTTP,
};

pub(crate) static ACTIVE: Definition = Definition {
    name: "http_server_active_requests",
    kind: Kind::Gauge,
    unit: None,
    labels: &[],
    help: "Requests whose answer has not begun",
    exposed_by: Exposer::EVERYBODY,
};

/// Of all HTTP servers in one process; the admin port isn't counted.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    duration: DurationsBy<RequestLabels>,
    active: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the convention's")]
struct RequestLabels {
    http_request_method: MethodLabel,
    http_route: String,
    http_response_status_code: u16,
}

impl HttpMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let duration = DurationsBy::new_with_constructor(|| Durations::new(BUCKETS_S.into_iter()));
        let active = Gauge::default();
        DURATION.register(registry, duration.clone());
        ACTIVE.register(registry, active.clone());
        Self { duration, active }
    }

    pub(crate) fn begin(&self) {
        self.active.inc();
    }

    pub(crate) fn end(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        self.active.dec();
        let labels = RequestLabels {
            http_request_method: method_label(method),
            http_route: route.to_owned(),
            http_response_status_code: status.as_u16(),
        };
        observe(&self.duration.get_or_create(&labels), took);
    }
}

/// A client may send any word as a method; the convention has one value for all the others.
pub(crate) fn method_label(method: &Method) -> MethodLabel {
    match *method {
        Method::GET => MethodLabel::Get,
        Method::HEAD => MethodLabel::Head,
        Method::POST => MethodLabel::Post,
        Method::PUT => MethodLabel::Put,
        Method::PATCH => MethodLabel::Patch,
        Method::DELETE => MethodLabel::Delete,
        Method::OPTIONS => MethodLabel::Options,
        _ => MethodLabel::Other,
    }
}
