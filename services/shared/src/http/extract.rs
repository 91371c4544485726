//! axum's extractors with problems as their rejections. Handlers use these, never axum's own.

use std::error::Error;

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        multipart::{MultipartError, MultipartRejection},
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use axum_extra::extract::QueryRejection;
use http_body_util::LengthLimitError;
use serde::{Serialize, de::DeserializeOwned};

use super::{body::ClientStalled, kind::ProblemKind, problem::Problem};

/// A JSON body, in or out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// The query string. A parameter may be repeated (`Vec`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

/// The parameters in the path.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

/// A streamed `multipart/form-data` body. Faults of its fields become problems by `?`.
#[derive(Debug)]
pub struct Multipart(pub axum::extract::Multipart);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(value) = axum::Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum_extra::extract::Query(value) = axum_extra::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<S: Send + Sync> FromRequest<S> for Multipart {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(axum::extract::Multipart::from_request(request, state).await?))
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match &rejection {
            JsonRejection::JsonDataError(_) => Self::unprocessable(reason(&rejection)),
            JsonRejection::JsonSyntaxError(_) => {
                Self::bad_request(format!("the body isn't JSON: {}", reason(&rejection)))
            }
            JsonRejection::MissingJsonContentType(_) => {
                Self::unsupported_type("the body must be JSON; send it with content-type: application/json")
            }
            // axum boxes the limit's error twice, so that it isn't found among the causes.
            _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Self::body_too_large(),
            _ => Self::from_body_error(&rejection, "cannot read the body"),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(format!("cannot read the query string: {}", reason(&rejection)))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        if rejection.status().is_server_error() {
            return Self::internal(&rejection);
        }
        Self::bad_request(format!("cannot read the path: {}", reason(&rejection)))
    }
}

impl From<MultipartRejection> for Problem {
    fn from(_: MultipartRejection) -> Self {
        Self::unsupported_type("the body must be multipart/form-data with a boundary")
    }
}

impl From<MultipartError> for Problem {
    fn from(fault: MultipartError) -> Self {
        if fault.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::body_too_large();
        }
        Self::from_body_error(&fault, "cannot read the multipart body")
    }
}

impl Problem {
    /// The problem of a request body that broke while it was read: 413 past the limit, 408 when the client stalled,
    /// 400 when it is malformed or was cut off.
    pub fn from_body_error(fault: &(dyn Error + 'static), what: &str) -> Self {
        let mut cause = Some(fault);
        while let Some(error) = cause {
            if error.is::<LengthLimitError>() {
                return Self::body_too_large();
            }
            if let Some(stalled) = error.downcast_ref::<ClientStalled>() {
                return Self::new(ProblemKind::Timeout, stalled.to_string()).with_status(StatusCode::REQUEST_TIMEOUT);
            }
            cause = error.source();
        }
        Self::bad_request(format!("{what}: {}", reason(fault)))
    }

    fn body_too_large() -> Self {
        Self::too_large("the request has more bytes than are taken here")
    }
}

/// The innermost cause: what the parser said, without the layers around it.
fn reason(fault: &(dyn Error + 'static)) -> String {
    let mut innermost = fault;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
