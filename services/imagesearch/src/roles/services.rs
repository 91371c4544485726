//! Each service over the stores and the model that it needs, and what is watched of those.

use std::sync::Arc;

use arc_swap::ArcSwap;
use backends::{
    Stores,
    index::{Collection, VectorIndex},
    objects::ObjectStore,
    projection::Projection,
    queue::JobQueue,
    records::Records,
};
use cdnapi::Delivery;
use embedding::Embedder;
use ingestapi::{Ingest, IngestState, ModelControl, Sample};
use ingestworker::Worker;
use searchapi::{Search, SearchState};
use shared::{Metadata, config::Config, http::Readiness};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use super::{model, up::Engine};
use crate::assets;

pub(super) struct Routers {
    pub ingestapi: OpenApiRouter,
    pub searchapi: OpenApiRouter,
    pub cdnapi: OpenApiRouter,
}

pub(super) fn routers(
    config: &Config,
    engine: &Engine,
    search: &Arc<ArcSwap<Search>>,
    models: ModelControl,
) -> Routers {
    let Engine { stores, projection, .. } = engine;
    Routers {
        ingestapi: ingestapi(config, stores, projection, models),
        searchapi: searchapi(config, search),
        cdnapi: cdnapi(config, &stores.objects),
    }
}

pub(super) fn ingestapi(
    config: &Config,
    stores: &Stores,
    projection: &Projection,
    models: ModelControl,
) -> OpenApiRouter {
    let ingest = Ingest::new(stores.clone(), projection.clone(), config.into());
    let samples = Arc::new(|| assets::samples().unwrap_or_default().into_iter().map(sample).collect());
    ingestapi::router(IngestState::new(ingest, config.ingestapi.max_request_bytes, Some(samples), models))
}

pub(super) fn search(
    config: &Config,
    embedder: &Embedder,
    objects: &Arc<dyn ObjectStore>,
    index: &Arc<dyn VectorIndex>,
    collection: &Arc<dyn Collection>,
) -> Search {
    Search::new(embedder.clone(), collection.clone(), objects, index, config.searchapi.max_limit)
}

pub(super) fn searchapi(config: &Config, search: &Arc<ArcSwap<Search>>) -> OpenApiRouter {
    let max_picture_bytes = usize::try_from(config.searchapi.max_query_image_bytes).unwrap_or(usize::MAX);
    searchapi::router(SearchState { search: search.clone(), max_picture_bytes })
}

pub(super) fn cdnapi(config: &Config, objects: &Arc<dyn ObjectStore>) -> OpenApiRouter {
    let delivery = Delivery::new(
        objects.clone(),
        Records::new(objects.clone()),
        config.cdnapi.variant_sizes.clone(),
        config.cdnapi.max_concurrent_renders,
        model::limits(config),
    );
    cdnapi::router(delivery)
}

/// The worker as a part of a process.
pub(super) async fn work(worker: Worker, shutdown: CancellationToken) -> anyhow::Result<()> {
    worker.run(shutdown).await;
    Ok(())
}

pub(super) fn watch_objects(readiness: &Readiness, objects: &Arc<dyn ObjectStore>) {
    let objects = objects.clone();
    readiness.add("objects", move || {
        let objects = objects.clone();
        async move { objects.ready().await.map_err(|error| error.to_string()) }
    });
}

pub(super) fn watch_queue(readiness: &Readiness, queue: &Arc<dyn JobQueue>) {
    let queue = queue.clone();
    readiness.add("queue", move || {
        let queue = queue.clone();
        async move { queue.ready().await.map_err(|error| error.to_string()) }
    });
}

pub(super) fn watch_index(readiness: &Readiness, index: &Arc<dyn VectorIndex>) {
    let index = index.clone();
    readiness.add("index", move || {
        let index = index.clone();
        async move { index.ready().await.map_err(|error| error.to_string()) }
    });
}

fn sample(sample: assets::Sample) -> Sample {
    let metadata = Metadata { tags: sample.tags, caption: Some(sample.caption), ..Metadata::default() };
    Sample { name: sample.name, bytes: sample.bytes.into_owned().into(), metadata }
}
