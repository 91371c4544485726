//! Many files in one request: each is taken or refused on its own, while it streams by.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequest, Request, multipart::Field},
};
use backends::{intake::clean_name, metadata};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use shared::{
    Metadata,
    http::{Multipart, Problem},
};
use utoipa::ToSchema;

use crate::{
    answer::{Entries, Entry},
    ingest::{FileInfo, Ingest, IngestError},
};

/// Larger than any metadata that passes its check.
const MAX_METADATA_BYTES: usize = 256 << 10;
/// What may come between two pieces of a part: its headers, above all.
const MAX_PART_HEADER_BYTES: usize = 64 << 10;

/// A form as the page and the command line send it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form; it is read part by part")]
pub(crate) struct UploadForm {
    /// The images.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<String>,
    /// Of every file after it.
    metadata: Option<Metadata>,
}

/// Takes the files of a form in, one after the other.
pub(crate) async fn upload(ingest: &Ingest, request: Request) -> Result<Entries, Problem> {
    let (request, unclaimed) = paced(request);
    let Multipart(mut form) = Multipart::from_request(request, &()).await?;
    let mut entries = Entries::default();
    let mut metadata = Metadata::default();
    while let Some(mut field) = form.next_field().await? {
        unclaimed.reset();
        match field.name() {
            Some("file") if entries.len() == ingest.limits().max_items => return Err(too_many(ingest)),
            Some("file") => entries.push(file(ingest, &mut field, &metadata, &unclaimed).await?),
            Some("metadata") => metadata = read_metadata(&mut field, &unclaimed).await?,
            other => {
                let name = other.unwrap_or_default().chars().take(100).collect::<String>();
                return Err(Problem::unprocessable(format!("the form has a field {name:?}; use file and metadata")));
            }
        }
    }
    if entries.len() == 0 { Err(IngestError::NoItems.into()) } else { Ok(entries) }
}

fn too_many(ingest: &Ingest) -> Problem {
    IngestError::TooManyItems { limit: ingest.limits().max_items }.into()
}

async fn file(
    ingest: &Ingest,
    field: &mut Field<'_>,
    metadata: &Metadata,
    unclaimed: &Unclaimed,
) -> Result<Entry, Problem> {
    let name = field.file_name().and_then(clean_name);
    let info = FileInfo { name: name.clone(), metadata: metadata.clone() };
    let outcome = ingest.upload(info, Pieces { field, unclaimed }).await?;
    // The rest of a refused file is let by: the next one may be fine, and a client that is still sending reads no answer.
    while field.chunk().await?.is_some() {
        unclaimed.reset();
    }
    Ok(Entry::new(name, outcome))
}

async fn read_metadata(field: &mut Field<'_>, unclaimed: &Unclaimed) -> Result<Metadata, Problem> {
    let mut json = BytesMut::new();
    while let Some(piece) = field.chunk().await? {
        unclaimed.reset();
        if json.len() + piece.len() > MAX_METADATA_BYTES {
            return Err(Problem::too_large(format!("the metadata has more than {MAX_METADATA_BYTES} bytes")));
        }
        json.extend_from_slice(&piece);
    }
    let metadata = serde_json::from_slice(&json)
        .map_err(|error| Problem::unprocessable(format!("the metadata can't be read: {error}")))?;
    metadata::validate(&metadata).map_err(IngestError::from)?;
    Ok(metadata)
}

/// The bytes of one part.
struct Pieces<'a, 'b> {
    field: &'a mut Field<'b>,
    unclaimed: &'a Unclaimed,
}

impl Stream for Pieces<'_, '_> {
    type Item = Result<Bytes, Problem>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = Pin::new(&mut *self.field).poll_next(context);
        if piece.is_ready() {
            self.unclaimed.reset();
        }
        piece.map(|piece| piece.map(|piece| piece.map_err(Problem::from)))
    }
}

/// Bytes that the form's parser has taken in since it last gave something out.
#[derive(Clone, Default)]
struct Unclaimed(Arc<AtomicUsize>);

impl Unclaimed {
    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the headers of a part have more than {MAX_PART_HEADER_BYTES} bytes")]
struct PartHeaderTooLong;

/// A body for the form's parser, which by itself takes whatever is there and looks for the end of a part's headers
/// without a limit. Here it gets one piece a turn, and no more than fits the headers of a part.
struct Paced {
    body: BodyDataStream,
    unclaimed: Unclaimed,
    rests: bool,
}

fn paced(request: Request) -> (Request, Unclaimed) {
    let unclaimed = Unclaimed::default();
    let pace = |body: Body| {
        Body::from_stream(Paced { body: body.into_data_stream(), unclaimed: unclaimed.clone(), rests: false })
    };
    (request.map(pace), unclaimed)
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.rests = true;
            let before = self.unclaimed.0.fetch_add(bytes.len(), Ordering::Relaxed);
            // The piece that passes the limit may well hold the end of the headers.
            if before > MAX_PART_HEADER_BYTES {
                return Poll::Ready(Some(Err(PartHeaderTooLong.into())));
            }
        }
        piece.map(|piece| piece.map(|piece| piece.map_err(axum::BoxError::from)))
    }
}
