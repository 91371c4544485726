//! One role a process, over stores that processes share. Its ports answer at once; the role begins when its stores are
//! there, however long that takes, and outlives their restarts.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use arc_swap::ArcSwap;
use backends::stores::{self, OpenCollection, OpenError, OpenForReading};
use ingestapi::ModelControl;
use shared::{config::Config, metrics};
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

use super::{
    api, change, model,
    process::{Parts, Process},
    services, stock,
    sweeper::Sweeper,
    up::{Engine, configured_model, tell_rebuild},
};
use crate::exit::{CommandError, Failure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ingestapi,
    Ingestworker,
    Searchapi,
    Cdnapi,
}

impl Role {
    /// As the subcommand, the file in `conf/` and the section of the configuration are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingestapi => "ingestapi",
            Self::Ingestworker => "ingestworker",
            Self::Searchapi => "searchapi",
            Self::Cdnapi => "cdnapi",
        }
    }

    fn listen(self, config: &Config) -> Option<SocketAddr> {
        match self {
            Self::Ingestapi => Some(config.ingestapi.listen),
            Self::Ingestworker => None,
            Self::Searchapi => Some(config.searchapi.listen),
            Self::Cdnapi => Some(config.cdnapi.listen),
        }
    }
}

pub(crate) async fn run(role: Role, config: Config) -> anyhow::Result<ExitCode> {
    refuse_embedded(role, &config)?;
    let process = Process::start(&format!("imagesearch-{}", role.name()), &config).await?;
    let mut parts = Parts::new();
    let served = match role.listen(&config) {
        Some(address) => {
            let listener = process.bind(role.name(), address).await?;
            Some(process.serve(&mut parts, role.name(), listener))
        }
        None => None,
    };
    let routes = tokio::select! {
        routes = open(role, &config, &process, &mut parts) => routes?,
        () = process.shutdown.cancelled() => return process.end(parts).await,
    };
    if let (Some(served), Some(routes)) = (served, routes) {
        served.open(api::alone(role.name(), routes, &process.auth));
    }
    tracing::info!(role = role.name(), "ready");
    process.run(parts).await
}

/// A second process can't use them, and a role on its own is of no use.
fn refuse_embedded(role: Role, config: &Config) -> anyhow::Result<()> {
    let embedded = config.embedded_stores();
    if embedded.is_empty() {
        return Ok(());
    }
    let sections = embedded.iter().map(|section| format!("{section}.type")).collect::<Vec<_>>().join(", ");
    let role = role.name();
    let reason = format!(
        "{role} needs stores that several processes can share: set {sections} (docs/configuration.md), or run \
         everything in one process with `imagesearch up`"
    );
    Err(CommandError::new(Failure::Partial, reason).into())
}

/// Opens what a role needs and no more; gives the routes of a role that has some.
async fn open(
    role: Role,
    config: &Config,
    process: &Process,
    parts: &mut Parts,
) -> anyhow::Result<Option<OpenApiRouter>> {
    match role {
        Role::Ingestapi => ingestapi(config, process, parts).await.map(Some),
        Role::Ingestworker => ingestworker(config, process, parts).await.map(|()| None),
        Role::Searchapi => searchapi(config, process).await.map(Some),
        Role::Cdnapi => cdnapi(config, process).await.map(Some),
    }
}

async fn ingestapi(config: &Config, process: &Process, parts: &mut Parts) -> anyhow::Result<OpenApiRouter> {
    let (fingerprint, dimension) = process.when_there(async || model::identify(config).await).await?;
    metrics::stock::set_model(&fingerprint, dimension);
    metrics::stock::set_model_change(None);
    let second = process.when_there(async || change::identify_beside(config, &fingerprint).await).await?;
    let (stores, opened, beside) = process
        .when_there(async || -> Result<_, OpenError> {
            let stores = backends::open(config).await?;
            let opened = stores.open_collection(&fingerprint, dimension).await?;
            let beside = change::open_beside(&stores, second.as_ref()).await?;
            Ok((stores, opened, beside))
        })
        .await?;
    tell_rebuild(opened.rebuild);
    services::watch_objects(&process.readiness, &stores.objects);
    services::watch_queue(&process.readiness, &stores.queue);
    let projection = stores.projection(&opened.collection);
    let active = projection.active();
    parts.spawn(Sweeper::new(config, &stores, active).run(process.shutdown.clone()));
    parts.spawn(stock::watch(stores.queue.clone(), active.clone(), process.shutdown.clone()));
    let (status, told) = watch::channel(configured_model(config, fingerprint, dimension));
    if let (Some(second), Some(OpenCollection { collection, .. })) = (second, beside) {
        active.add(&collection);
        if config.model.beside.fills {
            let shutdown = process.shutdown.clone();
            let current = opened.collection;
            parts.spawn(change::watch_beside(current, collection, second.choice, status, shutdown));
        }
    }
    Ok(services::ingestapi(config, &stores, &projection, ModelControl::configured(told)))
}

async fn ingestworker(config: &Config, process: &Process, parts: &mut Parts) -> anyhow::Result<()> {
    let embedder = process.when_there(async || model::load(config).await).await?;
    metrics::stock::set_model(embedder.fingerprint(), embedder.dimension());
    let second = process.when_there(async || change::identify_beside(config, embedder.fingerprint()).await).await?;
    let (stores, collection, beside) = process
        .when_there(async || -> Result<_, OpenError> {
            let stores = backends::open(config).await?;
            let collection = stores.join_collection(embedder.fingerprint(), embedder.dimension()).await?;
            let beside = change::join_beside(&stores, second.as_ref()).await?;
            Ok((stores, collection, beside))
        })
        .await?;
    let projection = stores.projection(&collection);
    if let Some(beside) = &beside {
        projection.active().add(beside);
    }
    let engine = Engine { stores, embedder, collection, projection, registry: None };
    engine.watch(&process.readiness);
    parts.spawn(services::work(engine.worker(config)?, process.shutdown.clone()));
    Ok(())
}

async fn searchapi(config: &Config, process: &Process) -> anyhow::Result<OpenApiRouter> {
    let embedder = process.when_there(async || model::load(config).await).await?;
    metrics::stock::set_model(embedder.fingerprint(), embedder.dimension());
    let open = async || stores::open_for_reading(config, embedder.fingerprint(), embedder.dimension()).await;
    let OpenForReading { objects, index, collection } = process.when_there(open).await?;
    services::watch_index(&process.readiness, &index);
    let search = services::search(config, &embedder, &objects, &index, &collection);
    Ok(services::searchapi(config, &Arc::new(ArcSwap::from_pointee(search))))
}

async fn cdnapi(config: &Config, process: &Process) -> anyhow::Result<OpenApiRouter> {
    let objects = process.when_there(async || -> Result<_, OpenError> { stores::open_objects(config).await }).await?;
    services::watch_objects(&process.readiness, &objects);
    Ok(services::cdnapi(config, &objects))
}
