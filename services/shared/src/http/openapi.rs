//! OpenAPI 3.1 of a service, generated from its handlers and served beside them.

use std::collections::BTreeMap;

use axum::Router;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, RefOr, Schema, SecurityRequirement,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::{problem::Problem, session};

/// The routes of `router`, with `/openapi.json` and `/docs` (which loads nothing from elsewhere).
pub fn with_docs(title: &str, description: &str, router: OpenApiRouter) -> Router {
    let (router, api) = router.split_for_parts();
    router.merge(SwaggerUi::new("/docs").url("/openapi.json", complete(title, description, api)))
}

/// The document alone, as it is committed and checked for drift.
pub fn document<S>(title: &str, description: &str, router: OpenApiRouter<S>) -> OpenApi
where
    S: Clone + Send + Sync + 'static,
{
    complete(title, description, router.into_openapi())
}

/// Adds what no handler says: the title, the problem schema, and that a key or a session is taken.
fn complete(title: &str, description: &str, mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title(title)
        .description(Some(description))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    let kit = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .security_scheme(
            "api_key",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("isk_…").build()),
        )
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(session::COOKIE))))
        .build();
    let components = api.components.get_or_insert_default();
    components.schemas.extend(kit.schemas);
    components.security_schemes.extend(kit.security_schemes);
    open_parts(&mut components.schemas);
    let no_scopes = Vec::<String>::new;
    // The empty one: a server without keys, or one that opens reading, asks for nothing.
    api.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("api_key", no_scopes()),
        SecurityRequirement::new("session", no_scopes()),
    ]);
    api
}

/// A schema that others are composed of must allow what they add, also when it allows nothing more by itself.
fn open_parts(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let parts: Vec<String> = schemas.values().flat_map(parts_of).collect();
    for part in parts {
        if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(&part) {
            object.additional_properties = None;
        }
    }
}

/// The names of the schemas in a schema's `allOf`.
fn parts_of(schema: &RefOr<Schema>) -> Vec<String> {
    let RefOr::T(Schema::AllOf(all)) = schema else { return Vec::new() };
    let name = |part: &RefOr<Schema>| match part {
        RefOr::Ref(part) => part.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    };
    all.items.iter().filter_map(name).collect()
}
