//! Every route of `cdnapi`.

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use embedding::variant::Variant;
use serde::Deserialize;
use shared::{
    ImageId,
    http::{Path, Problem, Query, Scope, require},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    delivery::Delivery,
    respond,
    variant::{Fit, Format},
};

/// Above any screen; larger values are mistakes.
const MAX_WANTED_PIXELS: u32 = 16_384;

/// Which copy is wanted; the original when nothing is said.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VariantParams {
    /// Width in pixels, snapped up to a fixed ladder; never more than the original has.
    #[param(minimum = 1, maximum = 16384)]
    w: Option<u32>,
    /// Height in pixels, snapped up to a fixed ladder; never more than the original has.
    #[param(minimum = 1, maximum = 16384)]
    h: Option<u32>,
    /// `contain` (all of the picture) when absent.
    #[param(inline)]
    fit: Option<Fit>,
    /// `webp` when absent.
    #[param(inline)]
    format: Option<Format>,
}

/// Originals and variants.
pub fn router(delivery: Delivery) -> OpenApiRouter {
    routes().with_state(delivery)
}

/// The routes without what they work on: enough to describe them.
pub fn routes() -> OpenApiRouter<Delivery> {
    OpenApiRouter::new().routes(routes!(get_original)).route_layer(require(Scope::Read))
}

/// An image as it came, or a resized copy.
#[utoipa::path(
    method(get, head),
    path = "/images/{image_id}",
    tag = "images",
    params(("image_id" = ImageId, Path), VariantParams),
    responses(
        (status = 200, description = "The bytes", content_type = "image/*"),
        (status = 206, description = "The range that was asked for", content_type = "image/*"),
        (status = 304, description = "The client has it"),
        Problem,
    )
)]
async fn get_original(
    State(delivery): State<Delivery>,
    Path(image_id): Path<ImageId>,
    Query(params): Query<VariantParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match params.wanted(&delivery)? {
        Some(wanted) => respond::resized(&delivery, image_id, &wanted, &headers).await,
        None => respond::original(&delivery, image_id, &method, &headers).await,
    }
}

impl VariantParams {
    fn wanted(&self, delivery: &Delivery) -> Result<Option<Variant>, Problem> {
        let Self { w, h, fit, format } = self;
        if w.is_none() && h.is_none() && fit.is_none() && format.is_none() {
            return Ok(None);
        }
        let side = |name: &str, wanted: Option<u32>| match wanted {
            Some(pixels) if pixels == 0 || pixels > MAX_WANTED_PIXELS => {
                Err(Problem::bad_request(format!("{name} must lie between 1 and {MAX_WANTED_PIXELS}, not {pixels}")))
            }
            wanted => Ok(wanted.map(|pixels| delivery.ladder().snap(pixels))),
        };
        let (mut width, height) = (side("w", *w)?, side("h", *h)?);
        if width.is_none() && height.is_none() {
            width = delivery.ladder().largest();
        }
        let (fit, format) = (fit.unwrap_or_default().into(), format.unwrap_or_default().into());
        Ok(Some(Variant { width, height, fit, format }))
    }
}
