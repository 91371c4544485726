//! What stands in the columns: the document, and what filters ask for in a form that Milvus can compare.
//!
//! | column | holds |
//! |---|---|
//! | `id` | the image id, the primary key |
//! | `vector` | its vector |
//! | `version`, `document`, `document_bytes` | the version; the document's JSON as a text, and how long that is |
//! | `created`, `captured` | microseconds since 1970, `ABSENT_TIME` for none |
//! | `width`, `height`, `aspect_ratio`, `size_bytes` | numbers, `ABSENT_NUMBER` for none |
//! | `numbers` | JSON: the user's numbers by hexadecimal name |
//! | `terms_0` … `terms_3` | JSON: under `all`, every answer to `=`, `:` and `:*` on texts, tags and truth values, one text each (`Term`) |
//!
//! No column is nullable: comparisons with null are neither true nor false, and `NOT` would not turn them round.

use milvus::v2::FieldData;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use shared::{ImageDocument, ImageFacts, filter::Field};

use super::{
    super::{
        IndexError, Point,
        terms::{Says, say_all},
    },
    client::unavailable,
};

pub(super) const ID: &str = "id";
pub(super) const VECTOR: &str = "vector";
pub(super) const VERSION: &str = "version";
pub(super) const DOCUMENT: &str = "document";
pub(super) const DOCUMENT_BYTES: &str = "document_bytes";
pub(super) const CREATED: &str = "created";
pub(super) const CAPTURED: &str = "captured";
pub(super) const WIDTH: &str = "width";
pub(super) const HEIGHT: &str = "height";
pub(super) const ASPECT_RATIO: &str = "aspect_ratio";
pub(super) const SIZE_BYTES: &str = "size_bytes";
pub(super) const NUMBERS: &str = "numbers";
pub(super) const ALL_TERMS: &str = "all";

/// Milvus takes 64 KiB of JSON in a column. Metadata of 16 KiB can make 6,200 terms of up to 36 bytes; spread over four
/// columns by their checksum, they fit.
pub(super) const TERM_COLUMNS: u8 = 4;
/// Longer terms, and those that would need escaping, are their checksum.
const LONGEST_TERM: usize = 33;

/// Earlier than any time there is.
pub(super) const ABSENT_TIME: i64 = i64::MIN / 2;
/// Below any width, height or ratio.
pub(super) const ABSENT_NUMBER: f64 = -1.0;

/// One thing that can be said of a field: a text that needs no escaping, and the column that it is in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term {
    pub(super) column: u8,
    pub(super) text: String,
}

impl Term {
    /// The name of a user's field comes with its length, so that no name and value can be read as another name and value.
    pub(super) fn new(field: &Field, says: Says, value: &str) -> Self {
        let name = match field {
            Field::Custom(name) => format!("f{}.{name}", name.len()),
            field => field.to_string(),
        };
        let text = match says {
            Says::Is => format!("{name}={value}"),
            Says::HasWord => format!("{name}:{value}"),
            Says::IsPresent => format!("{name}*"),
            Says::IsNumber => format!("{name}#"),
            Says::IsTruth(truth) => format!("{name}?{truth}"),
        };
        let checksum = Sha256::digest(&text);
        let is_plain = |character: char| !character.is_control() && character != '"' && character != '\\';
        let fits = text.len() <= LONGEST_TERM && text.chars().all(is_plain);
        let column = checksum[31] % TERM_COLUMNS;
        Self { column, text: if fits { text } else { format!("#{}", hex::encode(&checksum[..16])) } }
    }
}

pub(super) fn terms_column(number: u8) -> String {
    format!("terms_{number}")
}

/// Any name of the user's, as a key that needs no quotes or escapes.
pub(super) fn number_name(name: &str) -> String {
    format!("n{}", hex::encode(name))
}

/// A point, ready to be written.
pub(super) struct Row<'a> {
    pub(super) point: &'a Point,
    document: String,
    terms: Vec<Term>,
    numbers: Map<String, Value>,
}

impl<'a> Row<'a> {
    pub(super) fn new(point: &'a Point) -> Result<Self, IndexError> {
        let document = serde_json::to_string(&point.document);
        let document = document.map_err(|error| unavailable("cannot write a document as JSON", error))?;
        let numbers = point.document.metadata.fields.iter().filter_map(|(name, value)| {
            // Adding zero turns −0 into 0, which it equals.
            Some((number_name(name), json!(value.as_f64()? + 0.0)))
        });
        let numbers = numbers.collect();
        Ok(Self { point, document, terms: terms(&point.document), numbers })
    }

    /// About what it takes in a request.
    pub(super) fn bytes(&self) -> usize {
        const FIXED: usize = 256;
        let terms: usize = self.terms.iter().map(|term| term.text.len() + 3).sum();
        FIXED + size_of_val(&*self.point.vector) + self.document.len() + terms + self.numbers.len() * LONGEST_TERM
    }
}

/// What is asked of a column when its values are written.
type Integer = fn(&Row<'_>) -> i64;
type Number = fn(&Row<'_>) -> f64;

pub(super) fn to_columns(rows: &[Row<'_>]) -> Vec<FieldData> {
    let integers: [(&str, Integer); 4] = [
        (VERSION, |row| row.point.document.version.0 as i64),
        (DOCUMENT_BYTES, |row| row.document.len() as i64),
        (CREATED, |row| row.point.document.created.as_microsecond()),
        (CAPTURED, |row| row.point.document.metadata.captured.map_or(ABSENT_TIME, jiff::Timestamp::as_microsecond)),
    ];
    let numbers: [(&str, Number); 4] = [
        (WIDTH, |row| row.point.document.facts.as_ref().map_or(ABSENT_NUMBER, |facts| facts.width.into())),
        (HEIGHT, |row| row.point.document.facts.as_ref().map_or(ABSENT_NUMBER, |facts| facts.height.into())),
        (ASPECT_RATIO, |row| {
            row.point.document.facts.as_ref().and_then(ImageFacts::aspect_ratio).unwrap_or(ABSENT_NUMBER)
        }),
        (SIZE_BYTES, |row| row.point.document.size_bytes as f64),
    ];
    let texts = |name: &str, value: fn(&Row<'_>) -> String| FieldData::VarChar {
        name: name.into(),
        values: rows.iter().map(value).collect(),
    };
    let mut columns = vec![
        texts(ID, |row| row.point.document.image_id.to_string()),
        texts(DOCUMENT, |row| row.document.clone()),
        FieldData::FloatVector {
            name: VECTOR.into(),
            values: rows.iter().map(|row| row.point.vector.clone()).collect(),
        },
    ];
    columns.extend(
        integers.map(|(name, value)| FieldData::Int64 { name: name.into(), values: rows.iter().map(value).collect() }),
    );
    columns.extend(
        numbers.map(|(name, value)| FieldData::Double { name: name.into(), values: rows.iter().map(value).collect() }),
    );
    columns.extend((0..TERM_COLUMNS).map(|column| FieldData::Json {
        name: terms_column(column),
        values: rows.iter().map(|row| terms_in(row, column)).collect(),
    }));
    let own = rows.iter().map(|row| Value::Object(row.numbers.clone()));
    columns.push(FieldData::Json { name: NUMBERS.into(), values: own.collect() });
    columns
}

fn terms_in(row: &Row<'_>, column: u8) -> Value {
    let terms: Vec<_> = row.terms.iter().filter(|term| term.column == column).map(|term| term.text.as_str()).collect();
    json!({ ALL_TERMS: terms })
}

pub(super) fn to_document(text: &str) -> Result<ImageDocument, IndexError> {
    serde_json::from_str(text).map_err(|source| {
        unavailable("cannot read a document of the index; rebuild it with `imagesearch reindex`", source)
    })
}

fn terms(document: &ImageDocument) -> Vec<Term> {
    let mut terms = Vec::new();
    say_all(document, |field, says, value| terms.push(Term::new(field, says, value)));
    terms.sort_unstable();
    terms.dedup();
    terms
}
