//! Answers of `cdnapi`: caching, ranges and conditions around bytes that never change.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use embedding::variant::Variant;
use shared::{
    ImageId,
    http::{
        Problem,
        range::{self, Wanted},
    },
};

use crate::{
    delivery::{Delivery, Located},
    precondition::{self, Verdict},
    variant,
};

/// For ever, because other bytes have another id; by everybody's cache only when nobody needs a key.
const CACHE_FOR_EVER: &str = "private, max-age=31536000, immutable";
/// A picture is a document of its own: it loads nothing and runs nothing, whatever is in it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The original, or a part of it.
pub(crate) async fn original(
    delivery: &Delivery,
    image_id: ImageId,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let etag = format!("\"{image_id}\"");
    let is_plain =
        [header::RANGE, header::IF_MATCH, header::IF_NONE_MATCH].iter().all(|name| !headers.contains_key(name));
    if method == Method::GET && is_plain {
        let ((info, stream), located) = delivery.open(image_id, None).await?;
        return Ok(answer(StatusCode::OK, &etag, &located, info.size_bytes, Body::from_stream(stream)));
    }
    let (info, located) = delivery.head(image_id).await?;
    if let Some(refusal) = by_condition(headers, &etag) {
        return Ok(refusal);
    }
    let size_bytes = info.size_bytes;
    // A range means something for GET only (RFC 9110, section 14.2).
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = range.filter(|_| method == Method::GET && precondition::range_applies(headers, &etag));
    match range::parse(range, size_bytes) {
        Wanted::Whole if method == Method::HEAD => {
            Ok(answer(StatusCode::OK, &etag, &located, size_bytes, Body::empty()))
        }
        Wanted::Whole => {
            let ((_, stream), _) = delivery.open(image_id, None).await?;
            Ok(answer(StatusCode::OK, &etag, &located, size_bytes, Body::from_stream(stream)))
        }
        Wanted::Part(part) => {
            let ((_, stream), _) = delivery.open(image_id, Some(part.clone())).await?;
            let length = part.end - part.start;
            let mut response = answer(StatusCode::PARTIAL_CONTENT, &etag, &located, length, Body::from_stream(stream));
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{size_bytes}", part.start, part.end - 1));
            Ok(response)
        }
        Wanted::Unsatisfiable => {
            let problem = Problem::unsatisfiable_range(format!("the image has {size_bytes} bytes"));
            let mut response = problem.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size_bytes}"));
            Ok(response)
        }
    }
}

/// A resized copy, whole.
pub(crate) async fn resized(
    delivery: &Delivery,
    image_id: ImageId,
    wanted: &Variant,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let etag = format!("\"{image_id}-{}\"", variant::name(wanted));
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        delivery.head(image_id).await?;
        if let Some(refusal) = by_condition(headers, &etag) {
            return Ok(refusal);
        }
    }
    let bytes: Bytes = delivery.variant(image_id, wanted).await?;
    let length = bytes.len() as u64;
    let mut response = base(StatusCode::OK, &etag, Body::from(bytes));
    set(&mut response, header::CONTENT_TYPE, wanted.format.mime());
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    Ok(response)
}

/// 304 or 412 where the conditions of the request ask for it.
fn by_condition(headers: &HeaderMap, etag: &str) -> Option<Response> {
    match precondition::judge(headers, etag) {
        Verdict::Send => None,
        Verdict::NotModified => Some(base(StatusCode::NOT_MODIFIED, etag, Body::empty())),
        Verdict::PreconditionFailed => {
            Some(Problem::precondition_failed(format!("the image's entity tag is {etag}")).into_response())
        }
    }
}

fn answer(status: StatusCode, etag: &str, located: &Located, length: u64, body: Body) -> Response {
    let mut response = base(status, etag, body);
    set(&mut response, header::CONTENT_TYPE, &located.content_type);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    response
}

fn base(status: StatusCode, etag: &str, body: Body) -> Response {
    let mut response = (status, body).into_response();
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::CACHE_CONTROL, CACHE_FOR_EVER);
    set(&mut response, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    response
}

/// Values come from ids, numbers and constants; one that is no header value would be left out.
fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
