//! The operator as a process: logs, metrics, health, and work only while it leads.

use std::sync::Arc;

use anyhow::Context as _;
use kube::Config;
use shared::{
    config::{Http, Log, LogFormat},
    http::{self, AdminPort, Auth, Readiness},
    telemetry::{self, LogFilter},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    autoscaler::Autoscaler,
    cli::Options,
    controller,
    election::Election,
    metrics::{Metrics, measured_client},
};

/// Runs until SIGTERM, or until another replica leads.
///
/// # Errors
/// When it can't start, and when it no longer leads: it starts anew then, with nothing left of what it knew.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let log = Log { filter: options.log.clone(), format: LogFormat::Auto };
    let log_filter = telemetry::start("imagesearch-operator", &log)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("TLS was set up twice in one process"))?;
    let shutdown = on_signal()?;
    let metrics = telemetry::Metrics::new();
    let cluster = Config::infer().await.context("cannot find the cluster; set KUBECONFIG, or run inside of one")?;
    let client = measured_client(cluster, &metrics).context("cannot set up the client of the cluster")?;
    let counted = Metrics::register(&metrics);
    // Who leads no longer ends too, whether it is told to or not.
    let serving = shutdown.child_token();
    let admin = serve_admin(&options, &metrics, log_filter, &serving).await?;
    // A container that starts anew keeps the pod's name, and must not take its last life for itself.
    let identity = format!("{}_{:08x}", options.identity, rand::random::<u32>());
    let election = Election::new(client.clone(), &options.defaults.namespace, &options.lease, &identity);
    let mut leading = election.leading();
    // The lead is given up once nothing is under way.
    let worked = CancellationToken::new();
    let elected = tokio::spawn(election.run(worked.clone()));
    tokio::select! {
        led = leading.wait_for(|leads| *leads) => drop(led.context("the election ended")?),
        () = shutdown.cancelled() => {}
    }
    if !shutdown.is_cancelled() {
        tracing::info!(identity, "leading");
        counted.set_leading(true);
    }
    let working = shutdown.child_token();
    let autoscaler = Autoscaler::new(client.clone(), leading.clone(), &metrics);
    let defaults = Arc::new(options.defaults);
    let controller =
        controller::run(client, defaults, options.watch_namespace.as_deref(), autoscaler, counted, working.clone());
    let lost = tokio::select! {
        () = controller => false,
        lost = leading.wait_for(|leads| !*leads) => lost.is_ok(),
    };
    working.cancel();
    worked.cancel();
    elected.await?;
    serving.cancel();
    admin.await??;
    if lost && !shutdown.is_cancelled() {
        anyhow::bail!("another replica leads; starting anew");
    }
    Ok(())
}

async fn serve_admin(
    options: &Options,
    metrics: &telemetry::Metrics,
    log_filter: LogFilter,
    shutdown: &CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<Result<(), http::ServeError>>> {
    let listener = http::bind("admin", options.admin).await?;
    let shutdown = shutdown.clone();
    let port = AdminPort {
        metrics: metrics.clone(),
        // A replica that doesn't lead is ready too: it could, at any moment.
        readiness: Readiness::new(),
        log_filter,
        auth: Auth::off(),
        draining: shutdown.clone(),
    };
    Ok(tokio::spawn(async move { http::serve_admin(listener, &Http::default(), port, shutdown).await }))
}

fn on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(shutdown)
}
