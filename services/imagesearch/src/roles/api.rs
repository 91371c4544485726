//! The HTTP API as a whole: every service's routes on one origin, and their description.

use std::sync::Arc;

use axum::Router;
use shared::http::{self, Auth, session};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub(crate) const TITLE: &str = "imagesearch";
pub(crate) const DESCRIPTION: &str = "Image search by words and by pictures: images go in, texts and pictures find them.";

/// Describes the API without serving it.
pub(crate) fn document() -> OpenApi {
    let services = [
        ingestapi::routes().into_openapi(),
        searchapi::routes().into_openapi(),
        cdnapi::routes().into_openapi(),
        session::routes().into_openapi(),
    ];
    let whole = services.into_iter().reduce(|whole, service| whole.merge_from(service)).unwrap_or_default();
    http::document(TITLE, DESCRIPTION, OpenApiRouter::<()>::with_openapi(whole))
}

/// One service on its own address: its routes, signing in, and its description.
pub(crate) fn alone(role: &str, routes: OpenApiRouter, auth: &Arc<Auth>) -> Router {
    http::with_docs(role, DESCRIPTION, routes.merge(session::router(auth.clone())))
}
