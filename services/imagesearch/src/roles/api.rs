//! The HTTP API as a whole: every service's routes on one origin, and their description.

use std::sync::Arc;

use axum::Router;
use shared::http::{self, Auth, session};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub(crate) const TITLE: &str = "imagesearch";
pub(crate) const DESCRIPTION: &str =
    "Image search by words and by pictures: images go in, texts and pictures find them.";

/// Describes the API without serving it.
pub(crate) fn document() -> OpenApi {
    let services = [
        ingestapi::routes().into_openapi(),
        searchapi::routes().into_openapi(),
        cdnapi::routes().into_openapi(),
        session::routes().into_openapi(),
    ];
    let whole = services.into_iter().reduce(OpenApi::merge_from).unwrap_or_default();
    http::document(TITLE, DESCRIPTION, OpenApiRouter::<()>::with_openapi(whole))
}

/// One service on its own address: its routes, signing in, and its description.
pub(crate) fn alone(role: &str, routes: OpenApiRouter, auth: &Arc<Auth>) -> Router {
    http::with_docs(role, DESCRIPTION, routes.merge(session::router(auth.clone())))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// `UPDATE_GENERATED=1 cargo test` writes it anew.
    #[test]
    fn the_committed_description_is_the_served_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let current = super::document().to_pretty_json().expect("a document is JSON") + "\n";
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &current).expect("docs can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == current, "docs/openapi.json is out of date; run `make generate`");
    }
}
