//! `imagesearch up`: every role in one process, on embedded stores.
//!
//! Addresses are taken first, so that a port in use is told at once; the admin port answers from then on. Then stores,
//! model and collection are opened, and only then anything is served. At the end the order is reversed: no new requests
//! and jobs, what is under way ends, the admin port goes last.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use backends::{Stores, index::Collection, projection::Projection, stores::RebuildReason};
use embedding::Embedder;
use ingestworker::Worker;
use shared::{
    config::{Config, Objects},
    http::{self, Auth, Kit, Readiness, session},
    telemetry::{self, Metrics},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use super::{api, model, open_files, services, signals, sweeper, ui};
use crate::exit::{CommandError, Failure};

pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start_logs(&config.log)?;
    open_files::raise_limit();
    let metrics = Metrics::new();
    let auth = Auth::open(&config)?;
    let (shutdown, stopped) = (signals::shutdown(), CancellationToken::new());
    let listeners = Listeners::bind(&config, &auth).await?;
    let frontend = listeners.frontend.local_addr()?;

    let readiness = Readiness::new();
    let (admin, started) = serve_admin(&config, listeners.admin, &metrics, &readiness, &shutdown, &stopped);
    let engine = tokio::select! {
        engine = Engine::open(&config) => engine?,
        () = shutdown.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    engine.watch(&readiness);

    let kit = Kit::new(&config.http, auth.clone(), &metrics);
    let mut parts = JoinSet::new();
    let routers = services::routers(&config, &engine);
    let whole = OpenApiRouter::new()
        .merge(routers.ingestapi.clone())
        .merge(routers.searchapi.clone())
        .merge(routers.cdnapi.clone())
        .merge(session::router(auth.clone()));
    let frontend_router = http::with_docs(api::TITLE, api::DESCRIPTION, whole).merge(ui::router());
    for (role, listener, router) in [
        ("ingestapi", listeners.ingestapi, api::alone("ingestapi", routers.ingestapi, &auth)),
        ("searchapi", listeners.searchapi, api::alone("searchapi", routers.searchapi, &auth)),
        ("cdnapi", listeners.cdnapi, api::alone("cdnapi", routers.cdnapi, &auth)),
        ("frontend", listeners.frontend, frontend_router),
    ] {
        let (kit, shutdown) = (kit.clone(), shutdown.clone());
        parts.spawn(async move { Ok(http::serve(role, listener, router, &kit, shutdown).await?) });
    }
    parts.spawn(work(engine.worker(&config)?, shutdown.clone()));
    parts.spawn(sweeper::run(
        engine.stores.clone(),
        engine.collection.clone(),
        sweep_interval(&config),
        shutdown.clone(),
    ));
    started.cancel();
    tracing::info!(images = engine.collection.count(None).await?, "ready: open http://{frontend}");

    let outcome = until_all_ended(parts, &shutdown).await;
    stopped.cancel();
    admin.await??;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The addresses of all roles, taken before anything slow begins.
struct Listeners {
    frontend: TcpListener,
    ingestapi: TcpListener,
    searchapi: TcpListener,
    cdnapi: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config, auth: &Auth) -> anyhow::Result<Self> {
        let bind = async |role: &'static str, address| {
            auth.check_listen(role, address)?;
            anyhow::Ok(http::bind(role, address).await?)
        };
        Ok(Self {
            frontend: bind("frontend", config.frontend.listen).await?,
            ingestapi: bind("ingestapi", config.ingestapi.listen).await?,
            searchapi: bind("searchapi", config.searchapi.listen).await?,
            cdnapi: bind("cdnapi", config.cdnapi.listen).await?,
            admin: http::bind("admin", config.admin.listen).await?,
        })
    }
}

/// What all roles work on.
pub(crate) struct Engine {
    pub stores: Stores,
    pub embedder: Embedder,
    pub collection: Arc<dyn Collection>,
    pub projection: Projection,
}

impl Engine {
    /// Opens stores and model side by side, then the model's collection.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let stores = async { Ok(backends::open(config).await?) };
        let embedder = model::load(config, Arc::new(model::log_progress()));
        let (stores, embedder) = tokio::try_join!(stores, embedder)?;
        let opened = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await?;
        match opened.rebuild {
            Some(RebuildReason::Foreign) => {
                tracing::warn!("the index belonged to other images; it is rebuilt in the background");
            }
            Some(RebuildReason::Lost) => tracing::warn!("the index is lost; it is rebuilt in the background"),
            None => {}
        }
        stores.queue.adopt(embedder.fingerprint()).await?;
        let projection = stores.projection(vec![opened.collection.clone()]);
        Ok(Self { stores, embedder, collection: opened.collection, projection })
    }

    /// The same, over stores that are there: a mistyped folder must not pass for an empty collection.
    pub(crate) async fn open_existing(config: &Config) -> anyhow::Result<Self> {
        let Objects::Folder { path } = &config.objects else { return Self::open(config).await };
        let folder = path.clone().unwrap_or_else(|| config.data_dir.join("objects"));
        if !folder.exists() {
            let reason = format!("nothing is stored in {folder}; name the right folder with --data-dir");
            return Err(CommandError::new(Failure::NotFound, reason).into());
        }
        Self::open(config).await
    }

    /// The same, over another collection of the same model.
    pub(crate) fn with_collection(self, collection: Arc<dyn Collection>) -> Self {
        let projection = self.stores.projection(vec![collection.clone()]);
        Self { collection, projection, ..self }
    }

    pub(crate) fn worker(&self, config: &Config) -> anyhow::Result<Worker> {
        let Self { stores, embedder, collection, projection } = self;
        let settings = ingestworker::Settings::from(config);
        Ok(Worker::new(stores.clone(), collection.clone(), projection.clone(), embedder.clone(), settings)?)
    }

    /// Ready means that every store answers; the model is warm since it was loaded.
    fn watch(&self, readiness: &Readiness) {
        let Stores { objects, queue, index, .. } = self.stores.clone();
        let away = |error: &dyn std::error::Error| error.to_string();
        readiness.add("objects", move || {
            let objects = objects.clone();
            async move { objects.ready().await.map_err(|error| away(&error)) }
        });
        readiness.add("queue", move || {
            let queue = queue.clone();
            async move { queue.ready().await.map_err(|error| away(&error)) }
        });
        readiness.add("index", move || {
            let index = index.clone();
            async move { index.ready().await.map_err(|error| away(&error)) }
        });
    }
}

/// Serves the admin port; not ready until the token that is returned is cancelled.
fn serve_admin(
    config: &Config,
    listener: TcpListener,
    metrics: &Metrics,
    readiness: &Readiness,
    draining: &CancellationToken,
    stop: &CancellationToken,
) -> (tokio::task::JoinHandle<Result<(), http::ServeError>>, CancellationToken) {
    let started = CancellationToken::new();
    let is_started = started.clone();
    readiness.add("start", move || {
        let is_started = is_started.is_cancelled();
        async move { if is_started { Ok(()) } else { Err("stores and model are being opened".to_owned()) } }
    });
    let (limits, metrics, readiness) = (config.http.clone(), metrics.clone(), readiness.clone());
    let (draining, stop) = (draining.clone(), stop.clone());
    let server = async move { http::serve_admin(listener, &limits, metrics, readiness, draining, stop).await };
    (tokio::spawn(server), started)
}

async fn work(worker: Worker, shutdown: CancellationToken) -> anyhow::Result<()> {
    worker.run(shutdown).await;
    Ok(())
}

/// Waits for all parts. One that ends by itself, or fails, takes the others along.
async fn until_all_ended(mut parts: JoinSet<anyhow::Result<()>>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        shutdown.cancel();
        let ended = ended.context("a part of the process broke off").and_then(|ended| ended);
        outcome = outcome.and(ended);
    }
    outcome
}

fn sweep_interval(config: &Config) -> Duration {
    Duration::from_secs(config.ingestapi.sweep_interval_s)
}
