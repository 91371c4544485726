//! RFC 9457 problem details: the one shape of every error that leaves a service.
//! Constructors are named after the problem; internals are logged here and never reach a client.

use std::{error::Error, fmt, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::{
    faults::{self, Chain},
    kind::ProblemKind,
    request_id,
    scope::Scope,
};

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// A store that is away is rarely back within a moment.
const AWAY_RETRY_AFTER: Duration = Duration::from_secs(5);
const STARTING_RETRY_AFTER: Duration = Duration::from_secs(1);
const TIMEOUT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error as clients see it. `type`, `title` and `status` are stable; `detail` says what was wrong with this request
/// and what to do; extensions carry what a program needs (`column`, `store`, `tasks`).
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    kind: ProblemKind,
    status: StatusCode,
    detail: String,
    extensions: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, status: kind.status(), detail: detail.into(), extensions: Map::new(), retry_after: None }
    }

    /// 400: the request can't be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// 400: `column` (from 1) is where the filter stops making sense.
    pub fn invalid_filter(detail: impl Into<String>, column: usize) -> Self {
        Self::new(ProblemKind::InvalidFilter, detail).with("column", column)
    }

    /// 400: `offset` + `limit` reach past the last result that can be asked for.
    pub fn search_window(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::SearchWindow, detail)
    }

    /// 400: a search for nothing.
    pub fn empty_query(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::EmptyQuery, detail)
    }

    /// 401: no key, or one that isn't valid.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unauthorized, detail)
    }

    /// 403: known, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Forbidden, detail)
    }

    /// 403: the key lacks `scope`.
    pub fn scope_needed(scope: Scope) -> Self {
        Self::forbidden(format!("this key lacks the scope {scope}; use one that has it")).with("scope", scope.as_str())
    }

    /// 404: nothing is there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// 405: something is there, but not for this method.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::MethodNotAllowed, detail)
    }

    /// 406: none of the formats that the client takes can be made.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotAcceptable, detail)
    }

    /// 409: it was changed meanwhile.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, detail)
    }

    /// 409: relevances are asked for before the scores of the model were measured.
    pub fn not_calibrated(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotCalibrated, detail)
    }

    /// 412: `If-Match` names another representation.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::PreconditionFailed, detail)
    }

    /// 416: nothing of the representation lies in the range.
    pub fn unsatisfiable_range(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::UnsatisfiableRange, detail)
    }

    /// 413: more bytes, pixels or items than are taken.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::TooLarge, detail)
    }

    /// 415: a type that isn't read.
    pub fn unsupported_type(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::UnsupportedType, detail)
    }

    /// 422: well-formed, but it can't be used.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unprocessable, detail)
    }

    /// 429: the queue takes no more for now.
    pub fn queue_full(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(ProblemKind::QueueFull, detail).retry_after(retry_after)
    }

    /// 503: more requests are under way than this server serves at once.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::new(ProblemKind::Overloaded, "too many requests are under way; try again shortly")
            .retry_after(retry_after)
    }

    /// 504: the answer took longer than allowed.
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Timeout, detail).retry_after(TIMEOUT_RETRY_AFTER)
    }

    /// 503: a store doesn't answer. `store` is one of ours (`objects`, `queue`, `index`, `model`); the fault itself is
    /// logged, not sent.
    pub fn unavailable(store: &'static str, fault: &(dyn Error + 'static)) -> Self {
        faults::of_store(store, Chain(fault).to_string());
        Self::new(ProblemKind::Unavailable, format!("the {store} store doesn't answer; try again shortly"))
            .with("store", store)
            .retry_after(AWAY_RETRY_AFTER)
    }

    /// 503: the process is still opening what it needs. `store` is what it waits for, by the names of
    /// [`Self::unavailable`]; `None` while nothing is known to be away.
    pub fn starting(store: Option<&'static str>) -> Self {
        let Some(store) = store else {
            return Self::new(ProblemKind::Unavailable, "this server is starting; try again shortly")
                .retry_after(STARTING_RETRY_AFTER);
        };
        let detail = format!("this server is starting and waits for the {store} store; try again shortly");
        Self::new(ProblemKind::Unavailable, detail).with("store", store).retry_after(AWAY_RETRY_AFTER)
    }

    /// 500: a fault of ours. It is logged here, with its causes; the client gets the request id to ask with.
    pub fn internal(fault: &(dyn Error + 'static)) -> Self {
        faults::ours(Chain(fault).to_string());
        Self::internal_logged()
    }

    /// 500, when the fault has been logged already.
    pub(crate) fn internal_logged() -> Self {
        Self::new(ProblemKind::Internal, "something went wrong on our side; the log has more under this request id")
    }

    /// Adds an extension member. Names of the standard members are refused by a debug assertion.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        debug_assert!(
            !["type", "title", "status", "detail", "request_id"].contains(&name),
            "{name} is a standard member"
        );
        // A value that JSON can't express (a map with keys that aren't text) would be our own mistake; null shows it.
        self.extensions.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    /// Sends `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Answers with another status than the kind's usual one.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The body of a response.
    pub(crate) fn to_json(&self, request_id: Option<&str>) -> Vec<u8> {
        // Only strings, numbers and JSON values are in it, so this can't fail.
        serde_json::to_vec(&Document { problem: self, request_id }).unwrap_or_default()
    }

    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Without a request id: for problems inside another document. The id is added when the problem is the response.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document { problem: self, request_id: None }.serialize(serializer)
    }
}

struct Document<'a> {
    problem: &'a Problem,
    request_id: Option<&'a str>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.problem.kind.uri())?;
        map.serialize_entry("title", self.problem.kind.title())?;
        map.serialize_entry("status", &self.problem.status.as_u16())?;
        map.serialize_entry("detail", &self.problem.detail)?;
        if let Some(request_id) = self.request_id {
            map.serialize_entry("request_id", request_id)?;
        }
        for (name, value) in &self.problem.extensions {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let request_id = request_id::current();
        let body = self.to_json(request_id.as_deref());
        let mut response = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind.title(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_inside_a_document_has_no_request_id() {
        let problem = Problem::invalid_filter("unknown field \"widht\"; did you mean width", 7);
        let document = serde_json::to_value(&problem).expect("serializable");
        assert_eq!(
            document,
            serde_json::json!({
                "type": "https://imagesearch.dev/problems/invalid-filter",
                "title": "Invalid filter",
                "status": 400,
                "detail": "unknown field \"widht\"; did you mean width",
                "column": 7,
            })
        );
    }

    #[test]
    fn what_failed_inside_is_not_told() {
        let fault = std::io::Error::other("/var/lib/secret-place: no space left");
        for problem in [Problem::internal(&fault), Problem::unavailable("objects", &fault)] {
            assert!(!serde_json::to_string(&problem).expect("serializable").contains("secret-place"));
        }
    }

    #[test]
    fn retry_after_is_at_least_a_second() {
        let response = Problem::queue_full("the queue is full", Duration::from_millis(10)).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
