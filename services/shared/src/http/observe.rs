//! What is seen of a request: its id, its spans (one for log lines, one for the trace), one log line and its metrics.

use std::time::Instant;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, Version},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, Level, Span, field::Empty};

use super::{
    faults::Faults,
    metrics::{HttpMetrics, UNMATCHED, method_label},
    request_id,
};
use crate::telemetry::{TRACE, continue_from_headers, server_timing};

/// What nginx logs for a client that went away before its answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Where observations go.
#[derive(Debug, Clone)]
pub(crate) enum Observer {
    Counting(HttpMetrics),
    /// Only failures are logged, and nothing is traced.
    Quiet,
}

/// The outermost layer.
pub(crate) async fn observe(State(observer): State<Observer>, mut request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers());
    let spans = ObservedSpans {
        log: tracing::info_span!(
            "request",
            request_id = %id,
            method = %request.method(),
            path = request.uri().path(),
            key_id = Empty,
        ),
        trace: match observer {
            Observer::Counting(_) => trace_span(&request, &id),
            Observer::Quiet => Span::none(),
        },
    };
    request.extensions_mut().insert(spans.clone());
    let ObservedSpans { log, trace } = spans;
    let (faults, traced) = (Faults::default(), trace.clone());
    let answer = async {
        let observation = Observation::begin(observer, &request, traced, faults.clone());
        let response = faults.scope(next.run(request)).await;
        observation.end(response.status());
        response
    };
    let answer = answer.instrument(log).instrument(trace.clone());
    let mut response = request_id::scope(id.clone(), answer).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    if let Some(value) = server_timing(&trace) {
        response.headers_mut().append("server-timing", value);
    }
    response
}

/// The spans of a request, for those who learn more of it.
#[derive(Debug, Clone)]
pub(crate) struct ObservedSpans {
    log: Span,
    trace: Span,
}

impl ObservedSpans {
    pub(crate) fn key_id(&self, key_id: &str) {
        self.log.record("key_id", key_id);
        self.trace.record("imagesearch.key_id", key_id);
    }
}

/// A server span as the convention has it: <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. A path that no
/// route matches may hold anything, so it isn't in it.
fn trace_span(request: &Request, id: &str) -> Span {
    let method = method_label(request.method()).as_str();
    let matched = request.extensions().get::<MatchedPath>();
    let verb = if method == "_OTHER" { "HTTP" } else { method };
    let name = || match matched {
        Some(route) => format!("{verb} {}", route.as_str()),
        None => verb.to_owned(),
    };
    let span = tracing::info_span!(
        target: TRACE,
        "HTTP",
        otel.name = name(),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = matched.map(MatchedPath::as_str),
        http.response.status_code = Empty,
        url.scheme = "http",
        url.path = matched.map(|_| request.uri().path()),
        network.protocol.version = if request.version() == Version::HTTP_10 { "1.0" } else { "1.1" },
        "error.type" = Empty,
        imagesearch.request_id = id,
        imagesearch.key_id = Empty,
    );
    continue_from_headers(&span, request.headers());
    span
}

/// Ends with the answer, or, when it is dropped before, with the client gone.
struct Observation {
    observer: Observer,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    client: Option<String>,
    trace: Span,
    faults: Faults,
    started: Instant,
    ended: bool,
}

impl Observation {
    fn begin(observer: Observer, request: &Request, trace: Span, faults: Faults) -> Self {
        if let Observer::Counting(metrics) = &observer {
            metrics.begin();
        }
        let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>();
        Self {
            observer,
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            client: peer.map(|ConnectInfo(peer)| peer.ip().to_string()),
            trace,
            faults,
            started: Instant::now(),
            ended: false,
        }
    }

    fn end(mut self, status: StatusCode) {
        self.record(status);
    }

    fn record(&mut self, status: StatusCode) {
        self.ended = true;
        let took = self.started.elapsed();
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let faults = self.faults.told();
        self.record_trace(status);
        match &self.observer {
            Observer::Counting(metrics) => {
                self.trace.in_scope(|| metrics.end(&self.method, route, status, took));
                let duration_ms = took.as_micros() as f64 / 1000.0;
                let (status, client) = (status.as_u16(), self.client.as_deref());
                match faults {
                    None => tracing::info!(route, status, duration_ms, client, "answered"),
                    Some((Level::ERROR, error)) => {
                        tracing::error!(route, status, duration_ms, client, error, "request failed");
                    }
                    Some((_, error)) => tracing::warn!(route, status, duration_ms, client, error, "store unavailable"),
                }
            }
            Observer::Quiet => match faults {
                None => tracing::debug!(path = self.uri.path(), status = status.as_u16(), "answered"),
                Some((_, error)) => tracing::error!(status = status.as_u16(), error, "request failed"),
            },
        }
    }

    fn record_trace(&self, status: StatusCode) {
        if status.as_u16() == CLIENT_CLOSED_REQUEST {
            self.trace.record("error.type", "client_gone");
            return;
        }
        self.trace.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.trace.record("otel.status_code", "ERROR");
            self.trace.record("error.type", status.as_str());
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.ended {
            self.record(StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use serde_json::Value;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        config::Http,
        http::{Auth, Kit, Problem},
        telemetry::{Metrics, testing::logged},
    };

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the record")]
    struct Outer(#[source] std::io::Error);

    fn broken() -> Outer {
        Outer(std::io::Error::other("the disk is gone"))
    }

    /// The lines of one request.
    fn lines_of(path: &'static str) -> Vec<Value> {
        let routes = Router::new()
            .route("/well", get(|| async { "ok" }))
            .route("/ours", get(|| async { Problem::internal(&broken()) }))
            .route("/away", get(|| async { Problem::unavailable("objects", &broken()) }))
            .route("/panic", get(|| async { if true { panic!("no such thing") } else { "" } }));
        let kit = Kit::new(&Http::default(), Auth::off(), &Metrics::new());
        let router = kit.layer(routes, ([127, 0, 0, 1], 1).into(), &CancellationToken::new());
        let request =
            Request::builder().uri(path).header("x-request-id", "r-1").body(Body::empty()).expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        logged("info", || {
            runtime.block_on(router.oneshot(request)).expect("an answer");
        })
    }

    #[test]
    fn a_request_is_one_line_and_a_failed_one_has_its_causes_there() {
        let causes = "cannot read the record: the disk is gone";
        for (path, level, status, error) in [
            ("/well", "INFO", 200, Value::Null),
            ("/nowhere", "INFO", 404, Value::Null),
            ("/ours", "ERROR", 500, causes.into()),
            ("/away", "WARN", 503, causes.into()),
            ("/panic", "ERROR", 500, "a handler panicked: no such thing".into()),
        ] {
            let lines = lines_of(path);
            let [line] = &lines[..] else { panic!("{path}: {lines:?}") };
            assert_eq!(
                (&line["level"], &line["status"], &line["error"]),
                (&level.into(), &status.into(), &error),
                "{path}"
            );
            assert_eq!((&line["request_id"], &line["path"]), (&"r-1".into(), &path.into()));
        }
    }
}
