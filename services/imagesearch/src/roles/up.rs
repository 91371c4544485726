//! `imagesearch up`: every role in one process, on embedded stores.
//!
//! Addresses are taken first, so that a port in use is told at once; from then on the admin port answers, and the others
//! say that the process is starting. Then stores, model and collection are opened, and only then anything is served. At the
//! end the order is reversed: no new requests and jobs, what is under way ends, the admin port goes last.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use arc_swap::ArcSwap;
use backends::{
    Stores,
    error::StoreError,
    index::Collection,
    model_registry::ModelRegistry,
    projection::Projection,
    stores::{OpenError, RebuildReason},
};
use embedding::Embedder;
use ingestapi::ModelControl;
use ingestworker::Worker;
use searchapi::Search;
use shared::{
    ModelFingerprint,
    config::{Config, Objects},
    http::{self, Readiness, Routes, session},
    metrics,
    model::{KnownModel, ModelStatus},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use super::{
    api,
    change::{self, Changer},
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
    refuse_beside(&config)?;
    let process = Process::start("imagesearch", &config).await?;
    let mut parts = Parts::new();
    let servers = Servers::start(&config, &process, &mut parts).await?;
    let engine = tokio::select! {
        engine = Engine::open_when_there(&config, &process) => engine?,
        () = process.shutdown.cancelled() => return process.end(parts).await,
    };
    engine.watch(&process.readiness);
    metrics::stock::set_model(engine.embedder.fingerprint(), engine.embedder.dimension());

    let (frontend, shutdown) = (servers.address, &process.shutdown);
    let search = engine.search(&config);
    let search = Arc::new(ArcSwap::from_pointee(search));
    let models = engine.work(&config, &search, &mut parts, shutdown)?;
    servers.open(&process, services::routers(&config, &engine, &search, models));
    let active = engine.projection.active();
    parts.spawn(Sweeper::new(&config, &engine.stores, active).run(shutdown.clone()));
    parts.spawn(stock::watch(engine.stores.queue.clone(), active.clone(), shutdown.clone()));
    tracing::info!(images = engine.collection.count(None).await?, "ready: open http://{frontend}");
    process.run(parts).await
}

/// A process of its own has its own way.
fn refuse_beside(config: &Config) -> anyhow::Result<()> {
    if config.model.beside.source.is_none() {
        return Ok(());
    }
    let reason = "model.beside is for roles on their own; `imagesearch model use` changes the model of one process";
    Err(CommandError::new(Failure::Partial, reason).into())
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
    /// Which models are in use; `None` where several processes share the stores, and the configuration of each decides.
    pub registry: Option<ModelRegistry>,
}

impl Engine {
    /// Opens stores and model, then the model's collection.
    pub(crate) async fn open(config: &Config) -> Result<Self, ModelFault> {
        let stores = backends::open(config).await?;
        let (embedder, registry) = if config.embedded_stores().len() == STORES {
            let (embedder, registry) = Box::pin(change::begin(config, &stores)).await?;
            (embedder, Some(registry))
        } else {
            (Box::pin(model::load(config)).await?, None)
        };
        let opened = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await;
        let opened = opened.map_err(OpenError::from)?;
        tell_rebuild(opened.rebuild);
        // Elsewhere other processes may still work on the jobs of another model.
        if config.embedded_stores().contains(&"queue") {
            let adopted = stores.queue.adopt(embedder.fingerprint()).await;
            adopted.map_err(|error| OpenError::from(StoreError::from(error)))?;
        }
        let projection = stores.projection(&opened.collection);
        Ok(Self { stores, embedder, collection: opened.collection, projection, registry })
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
        let projection = self.stores.projection(&collection);
        Self { collection, projection, ..self }
    }

    /// Starts the work on jobs, and tells how the model is changed.
    fn work(
        &self,
        config: &Config,
        search: &Arc<ArcSwap<Search>>,
        parts: &mut Parts,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<ModelControl> {
        let Self { stores, embedder, projection, registry, .. } = self;
        let Some(registry) = registry.clone() else {
            parts.spawn(services::work(self.worker(config)?, shutdown.clone()));
            let status = configured_model(config, embedder.fingerprint().clone(), embedder.dimension());
            return Ok(ModelControl::configured(watch::channel(status).1));
        };
        let (changer, models) = Changer::new(config, stores, projection, embedder, registry, search.clone());
        parts.spawn(changer.run(shutdown.clone()));
        Ok(models)
    }

    fn search(&self, config: &Config) -> Search {
        let Self { stores, embedder, collection, .. } = self;
        services::search(config, embedder, &stores.objects, &stores.index, collection)
    }

    pub(crate) fn worker(&self, config: &Config) -> anyhow::Result<Worker> {
        let Self { stores, embedder, collection, projection, .. } = self;
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

/// The model of a process whose configuration alone decides.
pub(super) fn configured_model(config: &Config, fingerprint: ModelFingerprint, dimension: usize) -> ModelStatus {
    let current = KnownModel { choice: (&config.model).into(), fingerprint, dimension };
    let mut status = ModelStatus { current, change: None, previous: None };
    change::hide_credentials(&mut status);
    status
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
