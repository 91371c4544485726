//! What a process logs, shown and changed through its admin port.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Uri},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    auth::{Auth, Caller},
    extract::Json,
    faults::Chain,
    guard::names_loopback,
    problem::Problem,
    scope::Scope,
};
use crate::telemetry::LogFilter;

#[derive(Clone)]
pub(super) struct Changes {
    pub(super) filter: LogFilter,
    pub(super) auth: Arc<Auth>,
    pub(super) listen: SocketAddr,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    filter: String,
}

pub(super) fn router(changes: Changes) -> Router {
    Router::new().route("/log-filter", get(show).put(change)).with_state(changes)
}

async fn show(State(changes): State<Changes>) -> Json<Filter> {
    Json(Filter { filter: changes.filter.text() })
}

async fn change(
    State(changes): State<Changes>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    uri: Uri,
    Json(wanted): Json<Filter>,
) -> Result<Json<Filter>, Problem> {
    let caller = changes.auth.identify(&headers, changes.listen);
    match &caller {
        // Nobody needs a key: then whoever is on this machine (or in this pod) may do it, and a page in a browser may not.
        Caller::Open { .. } if peer.ip().is_loopback() && names_loopback(&headers, &uri) => {}
        Caller::Open { .. } => {
            return Err(Problem::forbidden(
                "without API keys, what is logged can be changed from the same machine only, by the address 127.0.0.1",
            ));
        }
        Caller::Key { .. } | Caller::Anonymous { .. } => caller.check(Scope::Admin)?,
    }
    let before = changes.filter.text();
    changes.filter.set(&wanted.filter).map_err(|invalid| Problem::unprocessable(Chain(&invalid).to_string()))?;
    tracing::warn!(before, filter = wanted.filter, key_id = caller.key_id(), "what is logged was changed");
    Ok(Json(wanted))
}
