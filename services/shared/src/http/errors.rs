//! The safety net: errors that axum, a library or a panic made become problems like all others.

use std::any::Any;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    kind::ProblemKind,
    problem::{self, Problem},
};

/// Replaces the body of every error that isn't a problem yet, and keeps its other headers (`allow`, `content-range`).
pub(crate) async fn as_problems(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && !is_problem(response.headers()) { replace(response, &method, &uri) } else { response }
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(problem::CONTENT_TYPE.as_bytes()))
}

fn replace(response: Response, method: &Method, uri: &Uri) -> Response {
    let (mut parts, _) = response.into_parts();
    let problem =
        Problem::new(ProblemKind::of_status(parts.status), detail(parts.status, method, uri)).with_status(parts.status);
    let (problem_parts, body) = problem.into_response().into_parts();
    for described in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::TRANSFER_ENCODING, header::ETAG] {
        parts.headers.remove(described);
    }
    parts.headers.extend(problem_parts.headers);
    Response::from_parts(parts, body)
}

fn detail(status: StatusCode, method: &Method, uri: &Uri) -> String {
    match status {
        StatusCode::NOT_FOUND => format!("nothing is served at {}", uri.path()),
        // axum adds the header after this layer, so the methods can't be named here.
        StatusCode::METHOD_NOT_ALLOWED => {
            format!("{} doesn't take {method}; the header allow says what it takes", uri.path())
        }
        status => status.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    }
}

/// The answer when a handler panicked. What it said is logged under the request's id.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Response<Body> {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = message, "a handler panicked");
    Problem::internal_logged().into_response()
}
