//! What every process of ours has, whatever its roles: logs, metrics, keys, signals, and an admin port that answers from
//! the first moment and goes last.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use shared::{
    config::Config,
    http::{self, AdminPort, Auth, Kit, Readiness, Routes},
    telemetry::{self, Metrics},
};
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    open_files, signals,
    starting::{MayPass, Starting},
};

/// Between two tries while a store is away; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What runs until the process ends.
pub(super) type Parts = JoinSet<anyhow::Result<()>>;

pub(super) struct Process {
    pub auth: Arc<Auth>,
    pub kit: Kit,
    pub readiness: Readiness,
    pub shutdown: CancellationToken,
    starting: Starting,
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
        let starting = Starting::new();
        starting.watch(&readiness);
        let kit = Kit::new(&config.http, auth.clone(), &metrics);
        let admin = {
            let listener = http::bind("admin", config.admin.listen).await?;
            let (limits, stopped) = (config.http.clone(), stopped.clone());
            let (readiness, auth, draining) = (readiness.clone(), auth.clone(), shutdown.clone());
            let port = AdminPort { metrics, readiness, log_filter, auth, draining };
            tokio::spawn(async move { http::serve_admin(listener, &limits, port, stopped).await })
        };
        Ok(Self { auth, kit, readiness, shutdown, starting, stopped, admin })
    }

    /// Takes an address, so that a port in use is told before anything slow begins.
    pub(super) async fn bind(&self, role: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
        self.auth.check_listen(role, address)?;
        Ok(http::bind(role, address).await?)
    }

    /// Serves a role until the process ends: says that it is starting until the routes are opened.
    pub(super) fn serve(&self, parts: &mut Parts, role: &'static str, listener: TcpListener) -> Routes {
        let routes = Routes::starting(self.starting.router());
        let (served, kit, shutdown) = (routes.clone(), self.kit.clone(), self.shutdown.clone());
        parts.spawn(async move { Ok(http::serve(role, listener, served, &kit, shutdown).await?) });
        routes
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
                    self.starting.opens();
                    return Ok(opened);
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error.into()),
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "waiting");
            self.starting.waits(&error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ready from now on, until the parts have ended.
    pub(super) async fn run(self, parts: Parts) -> anyhow::Result<ExitCode> {
        self.starting.ends();
        self.end(parts).await
    }

    /// Waits for the parts to end, and for the admin port after them.
    pub(super) async fn end(self, parts: Parts) -> anyhow::Result<ExitCode> {
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
