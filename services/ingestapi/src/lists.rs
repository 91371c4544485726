//! Lists of URLs as they come in: one JSON document, or bulk lines.

use axum::{
    RequestExt,
    extract::{DefaultBodyLimit, FromRequest, Request},
};
use shared::http::{Json, Problem};

use crate::{
    answer::{Entries, Entry},
    ingest::{Accepted, Ingest, IngestError},
    lines::{Line, Lines},
    urls::{InvalidItem, UrlItem, UrlList},
};

/// The longest list that comes as one document, in bytes: it is held while it is read. Bulk lines have no such bound.
const MAX_LIST_BYTES: usize = 16 << 20;
/// Of a URL, as it is shown when it can't be taken.
const MAX_NAME_CHARS: usize = 200;
/// The longest bulk line, in bytes.
const MAX_LINE_BYTES: usize = 64 << 10;
/// Bulk lines that are queued at once, which bounds what is held of a long list.
const CHUNK_LINES: usize = 256;

/// Queues the URLs of one JSON document: all that can be fetched, or none if the queue can't hold them.
pub(crate) async fn queue_list(ingest: &Ingest, mut request: Request) -> Result<Entries, Problem> {
    DefaultBodyLimit::max(MAX_LIST_BYTES).apply(&mut request);
    let Json(UrlList { urls, metadata }) = Json::from_request(request, &()).await?;
    let limit = ingest.limits().max_items;
    if urls.is_empty() {
        return Err(IngestError::NoItems.into());
    }
    if urls.len() > limit {
        return Err(IngestError::TooManyItems { limit }.into());
    }
    backends::metadata::validate(&metadata).map_err(IngestError::from)?;
    let named = |url: String| {
        let item = UrlItem::new(&url, metadata.clone()).map_err(|error| IngestError::from(error).into());
        (Some(url.chars().take(MAX_NAME_CHARS).collect()), item)
    };
    let named: Vec<Named> = urls.into_iter().map(named).collect();
    let accepted = queue(ingest, &named).await?;
    let mut entries = Entries::default();
    entries.extend(entries_of(named, Ok(accepted)));
    Ok(entries)
}

/// Queues the URLs of a bulk list, line by line; every refused line says so for itself. Blank lines are skipped.
pub(crate) async fn queue_lines(ingest: &Ingest, request: Request) -> Result<Entries, Problem> {
    let body = request.with_limited_body().into_body().into_data_stream();
    let mut lines = Lines::new(body, MAX_LINE_BYTES);
    let mut entries = Entries::default();
    let mut chunk = Vec::with_capacity(CHUNK_LINES);
    let mut number = 0_usize;
    while let Some(line) =
        lines.next().await.map_err(|error| Problem::from_body_error(&error, "cannot read the list"))?
    {
        number += 1;
        if matches!(&line, Line::Text(text) if text.trim_ascii().is_empty()) {
            continue;
        }
        if entries.len() + chunk.len() == ingest.limits().max_items {
            let error = IngestError::TooManyItems { limit: ingest.limits().max_items };
            chunk.push((None, Err(at_line(error, number))));
            break;
        }
        chunk.push(read_line(line, number));
        if chunk.len() == CHUNK_LINES {
            queue_chunk(ingest, std::mem::take(&mut chunk), &mut entries).await;
        }
    }
    queue_chunk(ingest, chunk, &mut entries).await;
    if entries.len() == 0 { Err(IngestError::NoItems.into()) } else { Ok(entries) }
}

/// What a client called an item, and the item, if it is one.
type Named = (Option<String>, Result<UrlItem, Problem>);

fn read_line(line: Line, number: usize) -> Named {
    let item = match line {
        Line::Text(text) => UrlItem::from_line(&text),
        Line::TooLong => Err(InvalidItem::LineTooLong { limit: MAX_LINE_BYTES }),
    };
    let name = item.as_ref().ok().map(|item| item.url.to_string());
    (name, item.map_err(|error| at_line(error.into(), number)))
}

fn at_line(error: IngestError, number: usize) -> Problem {
    Problem::from(error).with("line", number)
}

/// What was queued before stays queued, so a fault is told line by line.
async fn queue_chunk(ingest: &Ingest, chunk: Vec<Named>, entries: &mut Entries) {
    let accepted = queue(ingest, &chunk).await.map_err(Problem::from);
    entries.extend(entries_of(chunk, accepted));
}

/// Queues the items among `named`, all or none.
async fn queue(ingest: &Ingest, named: &[Named]) -> Result<Vec<Accepted>, IngestError> {
    let items: Vec<UrlItem> = named.iter().filter_map(|(_, item)| item.as_ref().ok().cloned()).collect();
    if items.is_empty() { Ok(Vec::new()) } else { ingest.queue_urls(items).await }
}

/// One entry each, in order: what was wrong with it by itself, else what became of it in the queue.
fn entries_of(named: Vec<Named>, accepted: Result<Vec<Accepted>, Problem>) -> Vec<Entry> {
    let (accepted, refused) = match accepted {
        Ok(accepted) => (accepted, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let mut accepted = accepted.into_iter();
    let entry = |(name, item)| match (item, &refused) {
        (Err(problem), _) => Some(Entry::refused(name, problem)),
        (Ok(_), Some(problem)) => Some(Entry::refused(name, problem.clone())),
        (Ok(_), None) => accepted.next().map(|accepted| Entry::new(name, Ok(accepted))),
    };
    named.into_iter().filter_map(entry).collect()
}
