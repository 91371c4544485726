//! Every route of `searchapi`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use shared::{
    ImageId,
    http::{Json, Path, Problem, Query, Scope, require},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::{Image, ImagePage, SearchPage},
    example::{Example, ExampleBody, ExampleForm},
    query::{ListParams, TextQuery, WindowParams},
    search::{Picture, Query as SearchedFor, Search},
};

#[derive(Clone)]
pub struct SearchState {
    /// Exchanged as a whole when the model is: a request uses one model from its begin to its end.
    pub search: Arc<ArcSwap<Search>>,
    /// The largest picture that is taken as a query.
    pub max_picture_bytes: usize,
}

/// All reads.
pub fn router(state: SearchState) -> OpenApiRouter {
    routes().with_state(state)
}

/// The routes without what they work on: enough to describe them.
pub fn routes() -> OpenApiRouter<SearchState> {
    OpenApiRouter::new()
        .routes(routes!(search_by_text, search_by_example))
        .routes(routes!(list_images))
        .routes(routes!(get_image))
        .routes(routes!(similar_images))
        .route_layer(require(Scope::Read))
}

/// Images that match a text, best first.
#[utoipa::path(get, path = "/api/v1/image/search", tag = "search", params(TextQuery), responses((status = 200, body = SearchPage), Problem))]
async fn search_by_text(
    State(state): State<SearchState>,
    Query(query): Query<TextQuery>,
) -> Result<Json<SearchPage>, Problem> {
    let (text, window) = query.split();
    let searched_for = SearchedFor { text: Some(text), ..SearchedFor::default() };
    find(&state.search.load_full(), &searched_for, window).await
}

/// Images like a picture, or like a picture and a text together, best first.
#[utoipa::path(
    post,
    path = "/api/v1/image/search",
    tag = "search",
    request_body(content((ExampleBody = "application/json"), (ExampleForm = "multipart/form-data"))),
    responses((status = 200, body = SearchPage), Problem)
)]
async fn search_by_example(State(state): State<SearchState>, request: Request) -> Result<Json<SearchPage>, Problem> {
    let example = Example::read(request, state.max_picture_bytes).await?;
    find(&state.search.load_full(), &example.query, example.window).await
}

/// Indexed images that pass a filter, a page at a time.
#[utoipa::path(get, path = "/api/v1/image", tag = "images", params(ListParams), responses((status = 200, body = ImagePage), Problem))]
async fn list_images(
    State(state): State<SearchState>,
    Query(params): Query<ListParams>,
) -> Result<Json<ImagePage>, Problem> {
    let (page, total) = state.search.load_full().list(&params.query()?).await?;
    Ok(Json(ImagePage::new(page.documents, page.next_cursor, total)))
}

/// One indexed image.
#[utoipa::path(get, path = "/api/v1/image/{image_id}", tag = "images", params(("image_id" = ImageId, Path)), responses((status = 200, body = Image), Problem))]
async fn get_image(State(state): State<SearchState>, Path(image_id): Path<ImageId>) -> Result<Json<Image>, Problem> {
    Ok(Json(state.search.load_full().get(image_id).await?.into()))
}

/// Images that look like an indexed one, best first; itself is left out.
#[utoipa::path(
    get,
    path = "/api/v1/image/{image_id}/similar",
    tag = "search",
    params(("image_id" = ImageId, Path), WindowParams),
    responses((status = 200, body = SearchPage), Problem)
)]
async fn similar_images(
    State(state): State<SearchState>,
    Path(image_id): Path<ImageId>,
    Query(window): Query<WindowParams>,
) -> Result<Json<SearchPage>, Problem> {
    let searched_for = SearchedFor { picture: Some(Picture::Indexed(image_id)), ..SearchedFor::default() };
    find(&state.search.load_full(), &searched_for, window).await
}

async fn find(search: &Search, searched_for: &SearchedFor, window: WindowParams) -> Result<Json<SearchPage>, Problem> {
    let window = window.window()?;
    let matches = search.find(searched_for, &window).await?;
    Ok(Json(SearchPage::new(matches, &window, search)))
}
