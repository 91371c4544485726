//! Rate, errors and duration of requests by route template, named as OpenTelemetry's semantic conventions have it:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use axum::http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// What the convention advises, with two finer steps below, because a cached search takes about a millisecond.
const BUCKETS_S: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Every path that no route matches is one value, or strangers could make series without end.
pub(crate) const UNMATCHED: &str = "unmatched";

/// Of all HTTP servers in one process; the admin port isn't counted.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    duration: Family<RequestLabels, Histogram>,
    active: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the names are the convention's")]
struct RequestLabels {
    http_request_method: MethodLabel,
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MethodLabel(&'static str);

impl EncodeLabelValue for MethodLabel {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

impl HttpMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let duration = Family::new_with_constructor((|| Histogram::new(BUCKETS_S)) as fn() -> Histogram);
        let active = Gauge::default();
        registry.register_with_unit(
            "http_server_request_duration",
            "Time to the first byte of a response",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register("http_server_active_requests", "Requests whose answer has not begun", active.clone());
        Self { duration, active }
    }

    pub(crate) fn begin(&self) {
        self.active.inc();
    }

    pub(crate) fn end(&self, method: &Method, route: &str, status: StatusCode, seconds: f64) {
        self.active.dec();
        let labels = RequestLabels {
            http_request_method: MethodLabel(method_label(method)),
            http_route: route.to_owned(),
            http_response_status_code: status.as_u16(),
        };
        self.duration.get_or_create(&labels).observe(seconds);
    }
}

/// A client may send any word as a method; the convention has one value for all the others.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
