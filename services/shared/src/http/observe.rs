//! What is seen of a request: its id, its span, one log line and its metrics.

use std::time::Instant;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::{
    metrics::{HttpMetrics, UNMATCHED},
    request_id,
};

/// What nginx logs for a client that went away before its answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Where observations go.
#[derive(Debug, Clone)]
pub(crate) enum Observer {
    Counting(HttpMetrics),
    /// Only failures are logged.
    Quiet,
}

/// The outermost layer.
pub(crate) async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers());
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %request.method(),
        path = request.uri().path(),
        key_id = tracing::field::Empty,
    );
    let answer = async {
        let observation = Observation::begin(observer, &request);
        let response = next.run(request).await;
        observation.end(response.status());
        response
    };
    let mut response = request_id::scope(id.clone(), answer.instrument(span)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    response
}

/// Ends with the answer, or, when it is dropped before, with the client gone.
struct Observation {
    observer: Observer,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    client: Option<String>,
    started: Instant,
    ended: bool,
}

impl Observation {
    fn begin(observer: Observer, request: &Request) -> Self {
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
        match &self.observer {
            Observer::Counting(metrics) => {
                metrics.end(&self.method, route, status, took.as_secs_f64());
                let duration_ms = took.as_micros() as f64 / 1000.0;
                let client = self.client.as_deref();
                tracing::info!(route, status = status.as_u16(), duration_ms, client, "answered");
            }
            Observer::Quiet => tracing::debug!(path = self.uri.path(), status = status.as_u16(), "answered"),
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
