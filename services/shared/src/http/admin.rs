//! The admin port: metrics, whether the process lives and is ready, and what it logs.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::get,
};
use futures::future::join_all;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    auth::Auth,
    extract::Json,
    kind::ProblemKind,
    log_filter,
    problem::Problem,
    server::{Kit, ServeError, serve},
};
use crate::{
    config::Http,
    metrics::Exposition,
    telemetry::{LogFilter, Metrics},
};

/// A check that doesn't answer is not ready.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// What has to be well for a process to be ready. Everybody adds checks of their own.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<(&'static str, Check)>>>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReady {
    pub name: &'static str,
    pub reason: String,
}

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, run at every question. It gives the reason why it is not ready, in a few words without internals.
    pub fn add<C, F>(&self, name: &'static str, check: C)
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// Runs all checks at once; what is not ready comes in the order in which it was added.
    pub async fn not_ready(&self) -> Vec<NotReady> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outcomes = checks.into_iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(CHECK_TIMEOUT, check()).await;
            let reason = outcome.unwrap_or_else(|_| Err("no answer in time".to_owned())).err()?;
            Some(NotReady { name, reason })
        });
        join_all(outcomes).await.into_iter().flatten().collect()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_list().entries(checks.iter().map(|(name, _)| name)).finish()
    }
}

/// What the admin port shows, and who may change something there.
#[derive(Clone)]
pub struct AdminPort {
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub log_filter: LogFilter,
    pub auth: Arc<Auth>,
    /// Not ready from then on, so that no new requests are sent here while those under way end.
    pub draining: CancellationToken,
}

/// Serves `/metrics`, `/healthz`, `/readyz` and `/log-filter` until `stop`.
pub async fn serve_admin(
    listener: TcpListener,
    limits: &Http,
    port: AdminPort,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let listen = listener.local_addr().map_err(|source| ServeError::Address { role: "admin".to_owned(), source })?;
    let changes = log_filter::Changes { filter: port.log_filter.clone(), auth: port.auth.clone(), listen };
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(port)
        .merge(log_filter::router(changes));
    serve("admin", listener, router, &Kit::admin(limits), stop).await
}

async fn show_metrics(State(admin): State<AdminPort>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    let exposition = Exposition::wanted(&headers);
    let body = admin.metrics.encode(exposition).map_err(|fault| Problem::internal(&fault))?;
    Ok(([(header::CONTENT_TYPE, exposition.content_type()), (header::VARY, "accept")], body))
}

/// Alive: the process answers at all.
#[derive(Serialize)]
struct Ready {
    ready: bool,
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<AdminPort>) -> Result<Json<Ready>, Problem> {
    let mut not_ready = admin.readiness.not_ready().await;
    if admin.draining.is_cancelled() {
        not_ready.push(NotReady { name: "shutdown", reason: "the process is ending".to_owned() });
    }
    if not_ready.is_empty() {
        return Ok(Json(Ready { ready: true }));
    }
    let names: Vec<_> = not_ready.iter().map(|check| check.name).collect();
    let detail = format!("not ready: {}", names.join(", "));
    Err(Problem::new(ProblemKind::Unavailable, detail).with("not_ready", not_ready).retry_after(Duration::from_secs(1)))
}
