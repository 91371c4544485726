//! Serves the built UI: fingerprinted files for ever, the page itself checked on every visit.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use rust_embed::EmbeddedFile;
use shared::http::Problem;

use crate::assets;

const PAGE: &str = "index.html";
/// Vite puts a digest of the contents into the names of files in this folder.
const FINGERPRINTED: &str = "assets/";
/// Nothing from another host; pictures that the page makes itself are `blob:` and `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; \
    worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// Everything that no service's route takes: a file of the UI, the page for a path that a browser navigates to, or 404.
pub(crate) fn router() -> Router {
    Router::new().fallback(any(serve))
}

async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_read = matches!(method, Method::GET | Method::HEAD);
    let is_api = ["api/", "images/"].iter().any(|prefix| path.starts_with(prefix));
    if is_read && !is_api {
        if let Some(file) = assets::ui_file(if path.is_empty() { PAGE } else { path }) {
            return respond(path, &file, &headers);
        }
        if accepts_html(&headers)
            && let Some(page) = assets::ui_file(PAGE)
        {
            return respond(PAGE, &page, &headers);
        }
    }
    Problem::not_found(format!("there is nothing at {method} /{path}")).into_response()
}

fn respond(path: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let caching = if path.starts_with(FINGERPRINTED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let has_it = headers.get(header::IF_NONE_MATCH).is_some_and(|tags| tags.as_bytes() == etag.as_bytes());
    let (status, body) = if has_it {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(file.data.to_vec()))
    };
    let mut response = (status, body).into_response();
    let set = response.headers_mut();
    set.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    set.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    for (name, value) in [(header::ETAG, etag.as_str()), (header::CONTENT_TYPE, file.metadata.mimetype())] {
        if let Ok(value) = HeaderValue::from_str(value) {
            set.insert(name, value);
        }
    }
    response
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}
