//! Rows of a collection. Everything that is shown is read with strong consistency: it sees what any process had been
//! told is written.

use std::collections::HashMap;

use milvus::v2::{ConsistencyLevel, FieldData, QueryResults, request::dql::QueryRequest};
use shared::{ImageDocument, ImageId, Version};

use super::{
    super::{IndexError, Point},
    client::{Client, unavailable},
    row::{CREATED, DOCUMENT, DOCUMENT_BYTES, ID, VECTOR, VERSION, to_document},
    translate::{after, all, images},
};

/// A reply of more than 4 MiB can't be received; documents up to this are asked for at once.
pub(super) const REPLY_BYTES: usize = 3 << 20;
/// The longest a document can be, and what comes with it.
pub(super) const LARGEST_DOCUMENT: usize = 65_535 + 256;
/// More ids make an expression that takes longer to parse than to answer.
pub(super) const MAX_IDS: usize = 1000;

/// What lists are put in order by, and how long the documents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) image_id: ImageId,
    pub(super) created_us: i64,
    pub(super) document_bytes: usize,
}

/// Reads one collection.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Reader {
    pub(super) async fn point(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        let rows = self.rows(images([&image_id]), &[DOCUMENT, VECTOR], 1).await?;
        let Some(text) = texts(&rows, DOCUMENT)?.first() else { return Ok(None) };
        let vector = match rows.get_output_field(VECTOR) {
            Some(FieldData::FloatVector { values, .. }) => values.first().cloned(),
            _ => None,
        };
        let vector = vector.ok_or_else(|| unexpected(VECTOR))?;
        Ok(Some(Point { vector, document: to_document(text)? }))
    }

    /// The versions of those of these images that are there.
    pub(super) async fn versions(&self, image_ids: &[ImageId]) -> Result<Vec<(ImageId, Version)>, IndexError> {
        let rows = self.rows(images(image_ids), &[ID, VERSION], image_ids.len()).await?;
        versions(&rows)
    }

    /// Up to `limit` images and their versions, in the order of ids.
    pub(super) async fn versions_after(
        &self,
        last: Option<ImageId>,
        limit: usize,
    ) -> Result<Vec<(ImageId, Version)>, IndexError> {
        let rows = self.rows(all(last.map(after)), &[ID, VERSION], limit).await?;
        let mut versions = versions(&rows)?;
        versions.sort_unstable();
        Ok(versions)
    }

    /// The first `limit` rows that pass, in the order of ids.
    pub(super) async fn listed(&self, expression: String, limit: usize) -> Result<Vec<Listed>, IndexError> {
        let rows = self.rows(expression, &[ID, CREATED, DOCUMENT_BYTES], limit).await?;
        let (times, lengths) = (integers(&rows, CREATED)?, integers(&rows, DOCUMENT_BYTES)?);
        let listed = texts(&rows, ID)?.iter().zip(times.iter().zip(lengths)).map(|(id, (created_us, length))| {
            Ok(Listed {
                image_id: to_image_id(id)?,
                created_us: *created_us,
                document_bytes: usize::try_from(*length).unwrap_or(LARGEST_DOCUMENT),
            })
        });
        let mut listed = listed.collect::<Result<Vec<_>, IndexError>>()?;
        listed.sort_unstable_by_key(|row| row.image_id);
        Ok(listed)
    }

    /// The documents of these images, each with its length, in this order; one that was removed meanwhile is left out.
    pub(super) async fn documents(&self, wanted: &[(ImageId, usize)]) -> Result<Vec<ImageDocument>, IndexError> {
        let mut documents = Vec::with_capacity(wanted.len());
        for batch in batches(wanted, |(_, length)| length + 256, MAX_IDS, REPLY_BYTES) {
            let rows = self.rows(images(batch.iter().map(|(id, _)| id)), &[DOCUMENT], batch.len()).await?;
            let found = texts(&rows, DOCUMENT)?.iter().map(|text| {
                let document = to_document(text)?;
                Ok((document.image_id, document))
            });
            let mut found = found.collect::<Result<HashMap<_, _>, IndexError>>()?;
            documents.extend(batch.iter().filter_map(|(image_id, _)| found.remove(image_id)));
        }
        Ok(documents)
    }

    pub(super) async fn count(&self, expression: &str) -> Result<u64, IndexError> {
        self.counted(expression, ConsistencyLevel::Strong).await
    }

    /// About how many rows pass, as far as what answers first knows.
    pub(super) async fn count_about(&self, expression: &str) -> Result<u64, IndexError> {
        self.counted(expression, ConsistencyLevel::Eventually).await
    }

    async fn counted(&self, expression: &str, consistency: ConsistencyLevel) -> Result<u64, IndexError> {
        const COUNT: &str = "count(*)";
        let counted = self.client.call("cannot count the index", async {
            let request = QueryRequest::builder()
                .collection_name(self.name.as_str())
                .filter(expression)
                .output_fields([COUNT])
                .consistency_level(consistency);
            self.client.sdk.query(request.build()?).await
        });
        let counted = counted.await?;
        let count = integers(counted.results(), COUNT)?.first().copied();
        count.and_then(|count| u64::try_from(count).ok()).ok_or_else(|| unexpected(COUNT))
    }

    /// Up to `limit` rows; when more pass, those with the least ids.
    async fn rows(&self, expression: String, columns: &[&str], limit: usize) -> Result<QueryResults, IndexError> {
        let found = self.client.call("cannot read the index", async {
            let request = QueryRequest::builder()
                .collection_name(self.name.as_str())
                .filter(expression)
                .output_fields(columns.iter().copied())
                .limit(limit.max(1) as i64)
                .consistency_level(ConsistencyLevel::Strong);
            self.client.sdk.query(request.build()?).await
        });
        Ok(found.await?.results().clone())
    }
}

/// Cuts into batches of a bounded number and size, each of at least one.
pub(super) fn batches<T>(
    items: &[T],
    bytes: impl Fn(&T) -> usize,
    max_items: usize,
    max_bytes: usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fitting = rest.iter().take(max_items).take_while(|item| {
            sum += bytes(item);
            sum <= max_bytes
        });
        let length = fitting.count().max(1).min(rest.len());
        let (batch, later) = rest.split_at(length);
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}

fn versions(rows: &QueryResults) -> Result<Vec<(ImageId, Version)>, IndexError> {
    let ids = texts(rows, ID)?.iter();
    let both = ids.zip(integers(rows, VERSION)?);
    both.map(|(id, version)| Ok((to_image_id(id)?, Version(version.cast_unsigned())))).collect()
}

fn texts<'a>(rows: &'a QueryResults, column: &str) -> Result<&'a [String], IndexError> {
    match rows.get_output_field(column) {
        Some(FieldData::VarChar { values, .. }) => Ok(values),
        None if rows.is_empty() => Ok(&[]),
        _ => Err(unexpected(column)),
    }
}

fn integers<'a>(rows: &'a QueryResults, column: &str) -> Result<&'a [i64], IndexError> {
    match rows.get_output_field(column) {
        Some(FieldData::Int64 { values, .. }) => Ok(values),
        None if rows.is_empty() => Ok(&[]),
        _ => Err(unexpected(column)),
    }
}

pub(super) fn to_image_id(text: &str) -> Result<ImageId, IndexError> {
    text.parse().map_err(|error| unavailable("cannot read an id of the index", error))
}

pub(super) fn unexpected(column: &str) -> IndexError {
    unavailable(
        format!("cannot read the index: it answered without {column}"),
        "a column is missing or of another type",
    )
}
