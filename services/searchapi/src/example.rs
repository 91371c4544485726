//! A search by example: the body of `POST /api/v1/image/search`, as JSON or as a form with a picture.

use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use shared::{
    ImageId,
    http::{Json, Multipart, Problem},
};
use utoipa::ToSchema;

use crate::{
    query::WindowParams,
    search::{Picture, Query},
};

/// Longest text field of a form, in bytes.
const MAX_FIELD_BYTES: usize = 16 << 10;

/// A search by an indexed image, by words, or by both.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExampleBody {
    /// An indexed image to find similar ones of.
    pub(crate) image_id: Option<ImageId>,
    /// What the images should show.
    pub(crate) text: Option<String>,
    /// Share of the text beside a picture, 0 to 1; half when absent.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub(crate) text_weight: Option<f32>,
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    #[schema(maximum = 16383)]
    pub(crate) offset: Option<usize>,
    pub(crate) min_score: Option<f32>,
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub(crate) min_relevance: Option<f32>,
    pub(crate) filter: Option<String>,
}

/// The same as a form, with a picture.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form for OpenAPI; the fields are read one by one")]
pub(crate) struct ExampleForm {
    /// The picture to find similar ones of; any type that can be ingested.
    #[schema(value_type = String, format = Binary)]
    file: Option<Vec<u8>>,
    image_id: Option<String>,
    text: Option<String>,
    text_weight: Option<f32>,
    limit: Option<usize>,
    offset: Option<usize>,
    min_score: Option<f32>,
    min_relevance: Option<f32>,
    filter: Option<String>,
}

/// A parsed search by example.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) query: Query,
    pub(crate) window: WindowParams,
}

impl Example {
    /// Reads either form of the body; a picture may have at most `max_picture_bytes`.
    pub(crate) async fn read(request: Request, max_picture_bytes: usize) -> Result<Self, Problem> {
        let content_type =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.starts_with("multipart/form-data") {
            let form = Multipart::from_request(request, &()).await?;
            return read_form(form, max_picture_bytes).await;
        }
        let Json(body) = Json::<ExampleBody>::from_request(request, &()).await?;
        Self::new(body, None)
    }

    fn new(body: ExampleBody, file: Option<Bytes>) -> Result<Self, Problem> {
        let picture = match (file, body.image_id) {
            (Some(_), Some(_)) => return Err(Problem::bad_request("give a file or an image_id, not both")),
            (Some(bytes), None) => Some(Picture::Bytes(bytes)),
            (None, Some(image_id)) => Some(Picture::Indexed(image_id)),
            (None, None) => None,
        };
        let ExampleBody { image_id: _, text, text_weight, limit, offset, min_score, min_relevance, filter } = body;
        let window = WindowParams { limit, offset, min_score, min_relevance, filter };
        Ok(Self { query: Query { text, picture, text_weight }, window })
    }
}

async fn read_form(Multipart(mut form): Multipart, max_picture_bytes: usize) -> Result<Example, Problem> {
    let mut body = ExampleBody::default();
    let mut file = None;
    while let Some(mut field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let limit = if name == "file" { max_picture_bytes } else { MAX_FIELD_BYTES };
        let mut value = BytesMut::new();
        while let Some(chunk) = field.chunk().await? {
            if value.len() + chunk.len() > limit {
                return Err(Problem::too_large(format!("the field {name:?} has more than {limit} bytes")));
            }
            value.extend_from_slice(&chunk);
        }
        if name == "file" {
            file = Some(value.freeze());
        } else {
            set(&mut body, &name, &value)?;
        }
    }
    Example::new(body, file)
}

fn set(body: &mut ExampleBody, name: &str, value: &[u8]) -> Result<(), Problem> {
    let text =
        std::str::from_utf8(value).map_err(|_| Problem::bad_request(format!("the field {name:?} is not UTF-8")))?;
    match name {
        "image_id" => body.image_id = Some(parse(name, text)?),
        "text" => body.text = Some(text.to_owned()),
        "text_weight" => body.text_weight = Some(parse(name, text)?),
        "limit" => body.limit = Some(parse(name, text)?),
        "offset" => body.offset = Some(parse(name, text)?),
        "min_score" => body.min_score = Some(parse(name, text)?),
        "min_relevance" => body.min_relevance = Some(parse(name, text)?),
        "filter" => body.filter = Some(text.to_owned()),
        _ => return Err(Problem::bad_request(format!("there is no field {name:?} in a search"))),
    }
    Ok(())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|fault| Problem::bad_request(format!("the field {name} has {text:?}: {fault}")))
}
