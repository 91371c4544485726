//! The browser's way in: a key is traded for a cookie, so that pictures and event streams load too.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::AppendHeaders,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::telemetry::{PageSpan, send_page_spans};

use super::{
    auth::{Auth, Caller},
    extract::Json,
    keys::session_of,
    problem::Problem,
    scope::Scope,
};

pub(crate) const COOKIE: &str = "imagesearch_session";

/// The browser forgets the session after so long.
const MAX_AGE_S: u64 = 30 * 24 * 3600;

/// How this browser stands.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionState {
    pub auth: SessionAuth,
    /// What may be done without more.
    pub scopes: Vec<Scope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionAuth {
    /// Nobody needs a key here.
    Open,
    /// Nothing can be done without a key.
    KeyNeeded,
    /// Known by a key or a session.
    SignedIn,
    /// Not signed in; reading is open to all.
    PublicRead,
}

/// The key to sign in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// `isk_…`, as `imagesearch keys create` printed it.
    pub key: String,
}

/// What a page has measured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageSpans {
    #[schema(max_items = 64)]
    pub spans: Vec<PageSpan>,
}

/// The most spans in one request.
const MAX_SPANS: usize = 64;

/// `/api/v1/session`, for every server that a browser talks to.
pub fn router(auth: Arc<Auth>) -> OpenApiRouter {
    routes().with_state(auth)
}

/// The same without its state, to describe it.
pub fn routes() -> OpenApiRouter<Arc<Auth>> {
    OpenApiRouter::new().routes(routes!(get_session, sign_in, sign_out)).routes(routes!(take_spans))
}

/// Whether a key is needed, and what may be done.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = SessionState), Problem))]
async fn get_session(caller: Caller) -> Json<SessionState> {
    Json(state_of(&caller))
}

/// Trades a key for the cookie `imagesearch_session`.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = SignIn,
    responses((status = 200, description = "Signed in; the cookie is set", body = SessionState), Problem)
)]
async fn sign_in(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    headers: HeaderMap,
    Json(SignIn { key }): Json<SignIn>,
) -> Result<(SetCookie, Json<SessionState>), Problem> {
    if let Caller::Open { .. } = caller {
        return Ok((AppendHeaders(None), Json(state_of(&caller))));
    }
    let invalid = || Problem::unauthorized("this API key isn't valid, or it was revoked");
    let record = auth.check_key(&key).ok_or_else(invalid)?;
    let cookie = cookie(&session_of(&record, &key), MAX_AGE_S, &headers);
    Ok((AppendHeaders(Some((header::SET_COOKIE, cookie))), Json(state_of(&Caller::from(&record)))))
}

/// Forgets the cookie. The key stays valid; revoke it to end its sessions everywhere.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses((status = 204, description = "Signed out"), Problem)
)]
async fn sign_out(headers: HeaderMap) -> (StatusCode, SetCookie) {
    (StatusCode::NO_CONTENT, AppendHeaders(Some((header::SET_COOKIE, cookie("", 0, &headers)))))
}

/// Takes the spans of a page for the traces that it began. A page sends them for answers with `server-timing: traceparent`.
#[utoipa::path(
    post, path = "/api/v1/session/spans", tag = "session", request_body = PageSpans,
    responses((status = 204, description = "Taken, to be sent on if traces are kept here"), Problem)
)]
async fn take_spans(caller: Caller, Json(PageSpans { spans }): Json<PageSpans>) -> Result<StatusCode, Problem> {
    // Reading may be open to all; what ends up with a collector is written.
    if let Caller::Anonymous { .. } = caller {
        return Err(Problem::unauthorized("spans are taken from those who have a key or have signed in"));
    }
    if spans.len() > MAX_SPANS {
        return Err(Problem::unprocessable(format!("there are more than {MAX_SPANS} spans")));
    }
    send_page_spans(spans).map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

type SetCookie = AppendHeaders<Option<(header::HeaderName, String)>>;

/// Out of reach of scripts, sent with requests of this site only, and only encrypted if it came encrypted.
fn cookie(value: &str, max_age_s: u64, headers: &HeaderMap) -> String {
    let encrypted = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}")
}

fn state_of(caller: &Caller) -> SessionState {
    let auth = match caller {
        Caller::Open { .. } => SessionAuth::Open,
        Caller::Key { .. } => SessionAuth::SignedIn,
        Caller::Anonymous { public_read: true, .. } => SessionAuth::PublicRead,
        Caller::Anonymous { public_read: false, .. } => SessionAuth::KeyNeeded,
    };
    SessionState { auth, scopes: Scope::ALL.into_iter().filter(|scope| caller.may(*scope)).collect() }
}
