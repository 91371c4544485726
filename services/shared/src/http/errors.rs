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
    faults,
    kind::ProblemKind,
    problem::{self, Problem},
    request_id,
};

/// Replaces the body of every error that isn't a problem yet, and keeps its other headers (`allow`, `content-range`).
pub(crate) async fn as_problems(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if !failed || is_problem(response.headers()) {
        return response;
    }
    let mut response = replace(response, &method, &uri);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.extensions_mut().insert(WrongMethod { method, path: uri.path().to_owned() });
    }
    response
}

/// What a 405 was asked for.
#[derive(Clone)]
struct WrongMethod {
    method: Method,
    path: String,
}

/// Says in a 405 which methods would do. axum adds the header after every layer, so this comes after the router.
pub(crate) fn name_methods(mut response: Response) -> Response {
    let Some(WrongMethod { method, path }) = response.extensions_mut().remove() else { return response };
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(allowed) = text(header::ALLOW).filter(|_| !headers.contains_key(header::CONTENT_ENCODING)) else {
        return response;
    };
    let methods = allowed.split(',').map(str::trim).collect::<Vec<_>>().join(", ");
    let problem = Problem::method_not_allowed(format!("{path} doesn't take {method}; it takes {methods}"));
    let body = problem.to_json(text(request_id::HEADER));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = body.into();
    response
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
        StatusCode::METHOD_NOT_ALLOWED => {
            format!("{} doesn't take {method}; the header allow says what it takes", uri.path())
        }
        status => status.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    }
}

/// The answer when a handler panicked. What it said is in the request's log line.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Response<Body> {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    faults::ours(format!("a handler panicked: {message}"));
    Problem::internal_logged().into_response()
}
