//! `imagesearch up`: every role in one process, on embedded stores.
//!
//! Addresses are taken first, so that a port in use is told at once; from then on the admin port answers, and the others
//! say that the process is starting. Then stores, model and collection are opened, and only then anything is served. At the
//! end the order is reversed: no new requests and jobs, what is under way ends, the admin port goes last.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use backends::{
    Stores,
    error::StoreError,
    index::Collection,
    projection::Projection,
    stores::{OpenError, RebuildReason},
};
use embedding::Embedder;
use ingestworker::Worker;
use shared::{
    config::{Config, Objects},
    http::{self, Readiness, Routes, session},
    metrics,
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    api,
    model::{self, ModelFault},
    process::{Parts, Process},
    services::{self, Routers},
    stock,
    sweeper::Sweeper,
    ui,
};
use crate::exit::{CommandError, Failure};

/// Objects, queue and index.
const STORES: usize = 3;

pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let process = Process::start("imagesearch", &config).await?;
    let mut parts = Parts::new();
    let servers = Servers::start(&config, &process, &mut parts).await?;
    let engine = tokio::select! {
        engine = Engine::open_when_there(&config, &process) => engine?,
        () = process.shutdown.cancelled() => return process.end(parts).await,
    };
    engine.watch(&process.readiness);
    metrics::stock::set_model(engine.embedder.fingerprint(), engine.embedder.dimension());

    let frontend = servers.address;
    servers.open(&process, services::routers(&config, &engine));
    let shutdown = &process.shutdown;
    parts.spawn(services::work(engine.worker(&config)?, shutdown.clone()));
    let sweeper = Sweeper::new(&config, &engine.stores, &engine.collection);
    parts.spawn(sweeper.run(shutdown.clone()));
    parts.spawn(stock::watch(engine.stores.queue.clone(), engine.collection.clone(), shutdown.clone()));
    tracing::info!(images = engine.collection.count(None).await?, "ready: open http://{frontend}");
    process.run(parts).await
}

/// The servers of all roles, which say that they are starting until their routes are opened.
struct Servers {
    /// Of the frontend.
    address: SocketAddr,
    frontend: Routes,
    ingestapi: Routes,
    searchapi: Routes,
    cdnapi: Routes,
}

impl Servers {
    /// Takes all addresses before it serves any.
    async fn start(config: &Config, process: &Process, parts: &mut Parts) -> anyhow::Result<Self> {
        let frontend = process.bind("frontend", config.frontend.listen).await?;
        let ingestapi = process.bind("ingestapi", config.ingestapi.listen).await?;
        let searchapi = process.bind("searchapi", config.searchapi.listen).await?;
        let cdnapi = process.bind("cdnapi", config.cdnapi.listen).await?;
        Ok(Self {
            address: frontend.local_addr()?,
            frontend: process.serve(parts, "frontend", frontend),
            ingestapi: process.serve(parts, "ingestapi", ingestapi),
            searchapi: process.serve(parts, "searchapi", searchapi),
            cdnapi: process.serve(parts, "cdnapi", cdnapi),
        })
    }

    fn open(&self, process: &Process, routers: Routers) {
        let Routers { ingestapi, searchapi, cdnapi } = routers;
        let whole = OpenApiRouter::new()
            .merge(ingestapi.clone())
            .merge(searchapi.clone())
            .merge(cdnapi.clone())
            .merge(session::router(process.auth.clone()));
        self.frontend.open(http::with_docs(api::TITLE, api::DESCRIPTION, whole).merge(ui::router()));
        self.ingestapi.open(api::alone("ingestapi", ingestapi, &process.auth));
        self.searchapi.open(api::alone("searchapi", searchapi, &process.auth));
        self.cdnapi.open(api::alone("cdnapi", cdnapi, &process.auth));
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
    pub(crate) async fn open(config: &Config) -> Result<Self, ModelFault> {
        let stores = async { Ok(backends::open(config).await?) };
        let (stores, embedder) = tokio::try_join!(stores, model::load(config))?;
        let opened = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await;
        let opened = opened.map_err(OpenError::from)?;
        tell_rebuild(opened.rebuild);
        // Elsewhere other processes may still work on the jobs of another model.
        if config.embedded_stores().contains(&"queue") {
            let adopted = stores.queue.adopt(embedder.fingerprint()).await;
            adopted.map_err(|error| OpenError::from(StoreError::from(error)))?;
        }
        let projection = stores.projection(vec![opened.collection.clone()]);
        Ok(Self { stores, embedder, collection: opened.collection, projection })
    }

    /// The same, as soon as stores that other processes run are there.
    async fn open_when_there(config: &Config, process: &Process) -> anyhow::Result<Self> {
        // What is wrong with stores of its own, nobody else will mend.
        if config.embedded_stores().len() == STORES {
            return Ok(Self::open(config).await?);
        }
        process.when_there(async || Self::open(config).await).await
    }

    /// The same, over stores that are there: a mistyped folder must not pass for an empty collection.
    pub(crate) async fn open_existing(config: &Config) -> anyhow::Result<Self> {
        let Objects::Folder { path } = &config.objects else { return Ok(Self::open(config).await?) };
        let folder = path.clone().unwrap_or_else(|| config.data_dir.join("objects"));
        if !folder.exists() {
            let reason = format!("nothing is stored in {folder}; name the right folder with --data-dir");
            return Err(CommandError::new(Failure::NotFound, reason).into());
        }
        Ok(Self::open(config).await?)
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
    pub(super) fn watch(&self, readiness: &Readiness) {
        services::watch_objects(readiness, &self.stores.objects);
        services::watch_queue(readiness, &self.stores.queue);
        services::watch_index(readiness, &self.stores.index);
    }
}

pub(super) fn tell_rebuild(reason: Option<RebuildReason>) {
    match reason {
        Some(RebuildReason::Foreign) => {
            tracing::warn!("the index belonged to other images; it is rebuilt in the background");
        }
        Some(RebuildReason::Lost) => tracing::warn!("the index is lost; it is rebuilt in the background"),
        None => {}
    }
}
