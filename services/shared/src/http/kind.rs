//! The kinds of problems that clients can meet: a stable slug, title and status each, and their OpenAPI description.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder, Schema, Type, response::Response,
        schema::AdditionalProperties,
    },
};

use super::problem::{CONTENT_TYPE, Problem};

const BASE: &str = "https://imagesearch.dev/problems/";

/// What went wrong. Clients may depend on the slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    BadRequest,
    InvalidFilter,
    SearchWindow,
    EmptyQuery,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    NotCalibrated,
    PreconditionFailed,
    TooLarge,
    UnsupportedType,
    UnsatisfiableRange,
    Unprocessable,
    QueueFull,
    Overloaded,
    Timeout,
    Unavailable,
    Internal,
}

impl ProblemKind {
    pub const ALL: [Self; 21] = [
        Self::BadRequest,
        Self::InvalidFilter,
        Self::SearchWindow,
        Self::EmptyQuery,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::NotCalibrated,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedType,
        Self::UnsatisfiableRange,
        Self::Unprocessable,
        Self::QueueFull,
        Self::Overloaded,
        Self::Timeout,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The last segment of `type`.
    pub fn slug(self) -> &'static str {
        self.describe().0
    }

    pub fn title(self) -> &'static str {
        self.describe().1
    }

    pub fn status(self) -> StatusCode {
        self.describe().2
    }

    /// The `type` member.
    pub fn uri(self) -> String {
        format!("{BASE}{}", self.slug())
    }

    /// The kind whose usual status this is, for errors that a library answered by itself.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.status() == status)
            .unwrap_or_else(|| if status.is_server_error() { Self::Internal } else { Self::BadRequest })
    }

    fn describe(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::BadRequest => ("bad-request", "Bad request", StatusCode::BAD_REQUEST),
            Self::InvalidFilter => ("invalid-filter", "Invalid filter", StatusCode::BAD_REQUEST),
            Self::SearchWindow => ("search-window", "Past the search window", StatusCode::BAD_REQUEST),
            Self::EmptyQuery => ("empty-query", "Empty query", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("unauthorized", "Key needed", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", "Not allowed", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Not found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::NotAcceptable => ("not-acceptable", "Not acceptable", StatusCode::NOT_ACCEPTABLE),
            Self::Conflict => ("conflict", "Changed meanwhile", StatusCode::CONFLICT),
            Self::NotCalibrated => ("not-calibrated", "Not measured yet", StatusCode::CONFLICT),
            Self::PreconditionFailed => ("precondition-failed", "Not that version", StatusCode::PRECONDITION_FAILED),
            Self::TooLarge => ("too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedType => ("unsupported-type", "Unsupported type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::UnsatisfiableRange => {
                ("unsatisfiable-range", "Nothing in that range", StatusCode::RANGE_NOT_SATISFIABLE)
            }
            Self::Unprocessable => ("unprocessable", "Not usable", StatusCode::UNPROCESSABLE_ENTITY),
            Self::QueueFull => ("queue-full", "Queue full", StatusCode::TOO_MANY_REQUESTS),
            Self::Overloaded => ("overloaded", "Overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::Timeout => ("timeout", "Took too long", StatusCode::GATEWAY_TIMEOUT),
            Self::Unavailable => ("unavailable", "Unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Written by hand, because extensions make it an open object.
impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let kinds = ProblemKind::ALL.map(ProblemKind::uri);
        ObjectBuilder::new()
            .description(Some("Problem details (RFC 9457). Some kinds add members of their own."))
            .property("type", text().enum_values(Some(kinds)).description(Some("The kind of problem; stable.")))
            .property("title", text().description(Some("The kind of problem in words.")))
            .property("status", ObjectBuilder::new().schema_type(Type::Integer).description(Some("The HTTP status.")))
            .property("detail", text().description(Some("What is wrong with this request, and what to do.")))
            .property("request_id", text().description(Some("Also in the log and in the header `x-request-id`.")))
            .required("type")
            .required("title")
            .required("status")
            .required("detail")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Problem {
    fn name() -> std::borrow::Cow<'static, str> {
        "Problem".into()
    }
}

/// `responses((status = 200, …), Problem)`: every other status is a problem.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).build();
        let response = ResponseBuilder::new().description("What went wrong").content(CONTENT_TYPE, content).build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_slug_of_its_own() {
        let slugs: std::collections::HashSet<_> = ProblemKind::ALL.into_iter().map(ProblemKind::slug).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
    }

    #[test]
    fn an_error_of_a_library_gets_the_general_kind_of_its_status() {
        assert_eq!(ProblemKind::of_status(StatusCode::BAD_REQUEST), ProblemKind::BadRequest);
        assert_eq!(ProblemKind::of_status(StatusCode::PAYLOAD_TOO_LARGE), ProblemKind::TooLarge);
        assert_eq!(ProblemKind::of_status(StatusCode::IM_A_TEAPOT), ProblemKind::BadRequest);
        assert_eq!(ProblemKind::of_status(StatusCode::BAD_GATEWAY), ProblemKind::Internal);
    }
}
