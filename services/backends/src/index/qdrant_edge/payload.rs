//! What stands beside a vector: the document, and what filters ask for in a form that qdrant can index.
//!
//! | key | holds | index |
//! |---|---|---|
//! | `document` | the document's JSON, as one text | – |
//! | `terms` | every answer to `=`, `:` and `:*` on texts, tags and truth values, one text each (`term`) | keyword |
//! | `width`, `height`, `aspect_ratio`, `size_bytes` | numbers | float |
//! | `created`, `captured` | times, cut to the microsecond | datetime |
//! | `numbers` | the user's numbers by hexadecimal name | float, once a name is seen |

use qdrant_edge::{
    Payload, PointId,
    external::serde_json::{Map, Value, json},
    external::uuid,
};
use sha2::{Digest, Sha256};
use shared::{ImageDocument, ImageId, filter::Field};

use super::{
    super::{
        IndexError,
        terms::{Says, say_all},
    },
    unavailable,
};

pub(super) const TERMS: &str = "terms";
const DOCUMENT: &str = "document";
const NUMBERS: &str = "numbers";

/// Longer values stand in a term as their checksum: an index of whole captions would be larger than the captions.
const LONGEST_VALUE: usize = 64;

/// 0001-01-01T00:00:00Z; qdrant's times don't reach further back.
const EARLIEST_US: i64 = -62_135_596_800_000_000;

/// The point of an image: the first 16 bytes of its id in the layout of UUID version 8 (RFC 9562), which keeps their
/// order but for the six bits that name the version. The whole id is in the document.
pub(super) fn point_id(image_id: ImageId) -> PointId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&image_id.digest()[..16]);
    PointId::Uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

pub(super) fn to_payload(document: &ImageDocument) -> serde_json::Result<Payload> {
    let text = serde_json::to_string(document)?;
    let mut payload = Map::new();
    payload.insert(DOCUMENT.into(), text.into());
    payload.insert(TERMS.into(), terms(document).into());
    payload.insert(key(&Field::SizeBytes), json!(document.size_bytes as f64));
    payload.insert(key(&Field::Created), time_text(document.created).into());
    if let Some(captured) = document.metadata.captured {
        payload.insert(key(&Field::Captured), time_text(captured).into());
    }
    if let Some(facts) = &document.facts {
        payload.insert(key(&Field::Width), json!(f64::from(facts.width)));
        payload.insert(key(&Field::Height), json!(f64::from(facts.height)));
        payload.extend(facts.aspect_ratio().map(|ratio| (key(&Field::AspectRatio), json!(ratio))));
    }
    let numbers = document
        .metadata
        .fields
        .iter()
        .filter_map(|(name, value)| Some((number_name(name), json!(value.as_f64()? + 0.0))));
    payload.insert(NUMBERS.into(), Value::Object(numbers.collect()));
    Ok(Payload(payload))
}

pub(super) fn to_document(payload: Option<&Payload>) -> Result<ImageDocument, IndexError> {
    let text = payload.and_then(|payload| payload.0.get(DOCUMENT)).and_then(Value::as_str).unwrap_or_default();
    serde_json::from_str(text).map_err(|source| {
        unavailable("cannot read a document of the index; rebuild it with `imagesearch reindex`", source)
    })
}

/// The payload key under which a number or a time is found.
pub(super) fn key(field: &Field) -> String {
    match field {
        Field::Custom(name) => format!("{NUMBERS}.{}", number_name(name)),
        field => field.to_string(),
    }
}

/// The payload keys of a document's own numbers.
pub(super) fn number_keys(document: &ImageDocument) -> impl Iterator<Item = String> + '_ {
    let numbers = document.metadata.fields.iter().filter(|(_, value)| value.is_number());
    numbers.map(|(name, _)| format!("{NUMBERS}.{}", number_name(name)))
}

pub(super) fn is_number_key(key: &str) -> bool {
    key.split_once('.').is_some_and(|(parent, _)| parent == NUMBERS)
}

/// Any name of the user's, as a key that needs no quotes in a path.
fn number_name(name: &str) -> String {
    format!("n{}", hex::encode(name))
}

/// Microseconds since 1970, within what qdrant can hold.
pub(super) fn time_us(time: jiff::Timestamp) -> i64 {
    time.as_microsecond().max(EARLIEST_US)
}

fn time_text(time: jiff::Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time_us(time)).unwrap_or(time).to_string()
}

/// One thing that can be said of a field. The name of a user's field comes with its length, so that no name and value
/// can be read as another name and value.
pub(super) fn term(field: &Field, says: Says, value: &str) -> String {
    let name = match field {
        Field::Custom(name) => format!("fields.{}.{name}", name.len()),
        field => field.to_string(),
    };
    match says {
        Says::IsPresent => format!("{name}*"),
        Says::IsNumber => format!("{name}#"),
        Says::IsTruth(truth) => format!("{name}?{truth}"),
        Says::HasWord => format!("{name}:{}", short(value)),
        Says::Is => format!("{name}={}", short(value)),
    }
}

fn short(value: &str) -> std::borrow::Cow<'_, str> {
    if value.len() <= LONGEST_VALUE { value.into() } else { format!("#{}", hex::encode(Sha256::digest(value))).into() }
}

fn terms(document: &ImageDocument) -> Vec<String> {
    let mut terms = Vec::new();
    say_all(document, |field, says, value| {
        // Numbers have keys of their own.
        if says != Says::IsNumber {
            terms.push(term(field, says, value));
        }
    });
    terms.sort_unstable();
    terms.dedup();
    terms
}
