//! The routes of every service, over the same stores and model.

use std::sync::Arc;

use cdnapi::Delivery;
use ingestapi::{Ingest, IngestState, Sample};
use searchapi::{Search, SearchState};
use shared::{Metadata, config::Config};
use utoipa_axum::router::OpenApiRouter;

use super::{model, up::Engine};
use crate::assets;

pub(super) struct Routers {
    pub ingestapi: OpenApiRouter,
    pub searchapi: OpenApiRouter,
    pub cdnapi: OpenApiRouter,
}

pub(super) fn routers(config: &Config, engine: &Engine) -> Routers {
    Routers {
        ingestapi: ingestapi(config, engine),
        searchapi: searchapi(config, engine),
        cdnapi: cdnapi(config, engine),
    }
}

fn ingestapi(config: &Config, engine: &Engine) -> OpenApiRouter {
    let ingest =
        Ingest::new(engine.stores.clone(), engine.collection.clone(), engine.projection.clone(), config.into());
    let samples = Arc::new(|| assets::samples().unwrap_or_default().into_iter().map(sample).collect());
    ingestapi::router(IngestState::new(ingest, config.ingestapi.max_request_bytes, Some(samples)))
}

fn searchapi(config: &Config, engine: &Engine) -> OpenApiRouter {
    let search = Search::new(engine.embedder.clone(), engine.collection.clone(), config.searchapi.max_limit);
    let max_picture_bytes = usize::try_from(config.searchapi.max_query_image_bytes).unwrap_or(usize::MAX);
    searchapi::router(SearchState { search: Arc::new(search), max_picture_bytes })
}

fn cdnapi(config: &Config, engine: &Engine) -> OpenApiRouter {
    let delivery = Delivery::new(
        engine.stores.objects.clone(),
        engine.stores.records.clone(),
        config.cdnapi.variant_sizes.clone(),
        config.cdnapi.max_concurrent_renders,
        model::limits(config),
    );
    cdnapi::router(delivery)
}

fn sample(sample: assets::Sample) -> Sample {
    let metadata = Metadata { tags: sample.tags, caption: Some(sample.caption), ..Metadata::default() };
    Sample { name: sample.name, bytes: sample.bytes.into_owned().into(), metadata }
}
