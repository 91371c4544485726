//! What every process of ours has, whatever its roles: logs, metrics, keys, signals, and an admin port that answers from
//! the first moment and goes last.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use backends::stores::OpenError;
use shared::{
    config::Config,
    http::{self, AdminPort, Auth, Kit, Readiness},
    telemetry::{self, Metrics},
};
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{open_files, signals};

/// Between two tries while a store is away; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const OPENING: &str = "stores and model are being opened";

/// A fault that waiting may mend.
pub(crate) trait MayPass: std::error::Error + Send + Sync + 'static {
    fn may_pass(&self) -> bool;
}

impl MayPass for OpenError {
    fn may_pass(&self) -> bool {
        self.is_unavailable()
    }
}

/// What runs until the process ends.
pub(super) type Parts = JoinSet<anyhow::Result<()>>;

pub(super) struct Process {
    pub auth: Arc<Auth>,
    pub kit: Kit,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    /// What the start waits for; `None` once it is over.
    waiting_for: Arc<Mutex<Option<String>>>,
    stopped: CancellationToken,
    admin: JoinHandle<Result<(), http::ServeError>>,
}

impl Process {
    /// Not ready until `run` is called.
    /// `service` is what traces call the process, unless a variable gives it another name.
    pub(super) async fn start(service: &str, config: &Config) -> anyhow::Result<Self> {
        let log_filter = telemetry::start(service, &config.log)?;
        open_files::raise_limit();
        let metrics = Metrics::new();
        let auth = Auth::open(config)?;
        let (shutdown, stopped) = (signals::shutdown(), CancellationToken::new());
        let readiness = Readiness::new();
        let waiting_for = Arc::new(Mutex::new(Some(OPENING.to_owned())));
        let told = waiting_for.clone();
        readiness.add("start", move || {
            let waiting_for = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { waiting_for.map_or(Ok(()), Err) }
        });
        let kit = Kit::new(&config.http, auth.clone(), &metrics);
        let admin = {
            let listener = http::bind("admin", config.admin.listen).await?;
            let (limits, stopped) = (config.http.clone(), stopped.clone());
            let (readiness, auth, draining) = (readiness.clone(), auth.clone(), shutdown.clone());
            let port = AdminPort { metrics, readiness, log_filter, auth, draining };
            tokio::spawn(async move { http::serve_admin(listener, &limits, port, stopped).await })
        };
        Ok(Self { auth, kit, readiness, shutdown, waiting_for, stopped, admin })
    }

    /// Takes an address, so that a port in use is told before anything slow begins.
    pub(super) async fn bind(&self, role: &'static str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
        self.auth.check_listen(role, address)?;
        Ok(http::bind(role, address).await?)
    }

    /// Serves a role until the process ends.
    pub(super) fn serve(&self, parts: &mut Parts, role: &'static str, listener: TcpListener, router: Router) {
        let (kit, shutdown) = (self.kit.clone(), self.shutdown.clone());
        parts.spawn(async move { Ok(http::serve(role, listener, router, &kit, shutdown).await?) });
    }

    /// Tries until it is there, a store or a model, and says meanwhile what is waited for.
    ///
    /// # Errors
    /// What no waiting will mend.
    pub(super) async fn when_there<T, E: MayPass>(&self, open: impl AsyncFn() -> Result<T, E>) -> anyhow::Result<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match open().await {
                Ok(opened) => {
                    self.wait_for(OPENING);
                    return Ok(opened);
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error.into()),
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "waiting");
            self.wait_for(&error.to_string());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn wait_for(&self, what: &str) {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
    }

    /// Ready from now on; runs the parts to their end, and the admin port after them.
    pub(super) async fn run(self, parts: Parts) -> anyhow::Result<ExitCode> {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let outcome = until_all_ended(parts, &self.shutdown).await;
        self.stopped.cancel();
        self.admin.await??;
        outcome.map(|()| ExitCode::SUCCESS)
    }
}

/// Waits for all parts. One that ends by itself, or fails, takes the others along.
async fn until_all_ended(mut parts: Parts, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        let ended = ended.context("a part of the process broke off").and_then(|ended| ended);
        outcome = outcome.and(ended);
    }
    outcome
}
