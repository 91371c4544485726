//! Changing and deleting images that are there.

use axum::{extract::State, http::StatusCode};
use shared::{
    ImageDocument, ImageId, Metadata,
    http::{Json, Path, Problem},
};

use crate::router::IngestState;

/// Changes what is said about an image: a JSON merge patch (RFC 7396) of its metadata. Filters see it at once.
#[utoipa::path(
    patch,
    path = "/api/v1/ingest/images/{image_id}",
    tag = "images",
    params(("image_id" = ImageId, Path)),
    request_body(content((Metadata = "application/merge-patch+json"), (Metadata = "application/json"))),
    responses((status = 200, body = ImageDocument), Problem)
)]
pub(crate) async fn change_image(
    State(state): State<IngestState>,
    Path(image_id): Path<ImageId>,
    Json(patch): Json<serde_json::Value>,
) -> Result<Json<ImageDocument>, Problem> {
    Ok(Json(state.ingest.change(image_id, patch).await?))
}

/// Deletes an image. No search finds it from now on, and nothing that is under way brings it back.
#[utoipa::path(
    delete,
    path = "/api/v1/ingest/images/{image_id}",
    tag = "images",
    params(("image_id" = ImageId, Path)),
    responses((status = 204, description = "It is gone"), Problem)
)]
pub(crate) async fn delete_image(
    State(state): State<IngestState>,
    Path(image_id): Path<ImageId>,
) -> Result<StatusCode, Problem> {
    state.ingest.delete(image_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
