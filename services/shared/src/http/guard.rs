//! The middleware that may turn a request away: overload, unknown hosts, other sites, and time.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Extensions, HeaderMap, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, time::timeout_at};
use tower_http::csrf::ProtectionError;

use super::{
    auth::{Auth, Caller},
    body::Progress,
    observe::ObservedSpans,
    problem::Problem,
};
use crate::metrics::limit::{Resource, Used};

/// What [`identify`] needs.
#[derive(Debug, Clone)]
pub(crate) struct Identify {
    pub(crate) auth: Arc<Auth>,
    pub(crate) listen: SocketAddr,
}

/// Sheds load: a request that would have to wait is answered 503 at once. One counts until its answer begins, so that
/// event streams and slow readers don't use up the places.
pub(crate) async fn limit_concurrency(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match permits.try_acquire() {
        Ok(_permit) => {
            let _used = Used::begin(Resource::Requests);
            next.run(request).await
        }
        Err(_) => Problem::overloaded(Duration::from_secs(1)).into_response(),
    }
}

/// Puts the [`Caller`] into the request.
pub(crate) async fn identify(State(identify): State<Identify>, mut request: Request, next: Next) -> Response {
    let caller = identify.auth.identify(request.headers(), identify.listen);
    // Open because it is on loopback: a page whose name was rebound to 127.0.0.1 must not get in through the browser.
    if caller == (Caller::Open { guard_host: true }) && !names_loopback(request.headers(), request.uri()) {
        return Problem::forbidden(
            "without API keys, this server answers to localhost only; make a key with `imagesearch keys create`, or set \
             auth.mode to none if something else guards it",
        )
        .into_response();
    }
    if let (Some(key_id), Some(observed)) = (caller.key_id(), request.extensions().get::<ObservedSpans>()) {
        observed.key_id(key_id);
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

pub(crate) fn names_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = |authority: &str| authority.parse::<Authority>().is_ok_and(|authority| is_loopback(authority.host()));
    // A request line with a whole URL overrules the header, so both have to be harmless.
    host.is_some_and(named) && uri.authority().is_none_or(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The answer to a change that another site's page asks for.
pub(crate) fn cross_site(_: ProtectionError) -> Response<Body> {
    Problem::forbidden(
        "a page of another origin asks for a change; do it from this server's own page, or without a browser",
    )
    .into_response()
}

/// Bounds the time that the server, not its client, takes to the first byte of its answer.
pub(crate) async fn limit_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let Some(progress) = request.extensions().get::<Arc<Progress>>().cloned() else {
        return next.run(request).await;
    };
    let mut response = std::pin::pin!(next.run(request));
    let mut deadline = progress.deadline(limit);
    loop {
        if let Ok(response) = timeout_at(deadline, &mut response).await {
            return response;
        }
        let later = progress.deadline(limit);
        if later <= deadline {
            break;
        }
        deadline = later;
    }
    Problem::timeout(format!("this took longer than the {} s allowed; try again, or ask for less", limit.as_secs_f32()))
        .into_response()
}

/// Text pays; pictures are compressed already, and events must not wait in a compressor.
pub(crate) fn worth_compressing(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        matches!(
            essence,
            "application/json"
                | "application/problem+json"
                | "application/javascript"
                | "application/openmetrics-text"
                | "text/html"
                | "text/css"
                | "text/javascript"
                | "image/svg+xml"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for ours in ["localhost", "LOCALHOST", "a.localhost", "localhost.", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for foreign in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.2", "[fe80::1]", ""]
        {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }
}
