//! The port's collection.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::stream::BoxStream;
use milvus::v2::request::dml::{DeleteRequest, InsertRequest, UpsertRequest};
use shared::{Hit, ImageDocument, ImageId, Version, filter::Filter};

use super::{
    super::{Collection, CollectionSpec, DocumentPage, IndexError, ListQuery, Point, SEARCH_WINDOW, SearchQuery},
    client::unavailable,
    listing::{Cursor, Listing},
    reading::{MAX_IDS, Reader, batches},
    row::{Row, to_columns},
    searching,
    translate::{expression, images},
};

/// How far a vector's length may be from 1.
const UNIT_TOLERANCE: f64 = 1e-3;

/// What one request writes at most; Milvus's brokers take messages of 5 MiB.
const WRITE_BYTES: usize = 4 << 20;

/// Ids and versions that a scan holds at once.
const SCAN_PAGE: usize = 8192;

/// The longest page of a list.
const LONGEST_PAGE: usize = 1000;

pub(super) struct MilvusCollection {
    pub(super) spec: CollectionSpec,
    pub(super) reader: Reader,
    pub(super) ef: usize,
}

impl MilvusCollection {
    fn is_usable(&self, vector: &[f32]) -> bool {
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        // Written so that it is also false when the length isn't a number.
        vector.len() == self.spec.dimension && (length - 1.0).abs() <= UNIT_TOLERANCE
    }

    async fn write(&self, rows: &[Row<'_>]) -> Result<(), IndexError> {
        let client = &self.reader.client;
        let written = client.call("cannot write to the index", async {
            let insert = InsertRequest::builder().collection_name(self.reader.name.as_str()).columns(to_columns(rows));
            client.sdk.upsert(UpsertRequest::builder().insert(insert.build()?).build()?).await
        });
        written.await.map(drop)
    }

    /// Reads back what was written. The read is strong, so whoever searches from now on finds it too, in any process.
    async fn check_visible(&self, rows: &[Row<'_>]) -> Result<(), IndexError> {
        let ids: Vec<_> = rows.iter().map(|row| row.point.document.image_id).collect();
        let found: HashMap<_, _> = self.reader.versions(&ids).await?.into_iter().collect();
        for document in rows.iter().map(|row| &row.point.document) {
            // Another process may have written a later version meanwhile.
            if found.get(&document.image_id).is_none_or(|version| *version < document.version) {
                let context = format!("image {} was written but is not there", document.image_id);
                return Err(unavailable(context, "it was removed meanwhile, or the server lost it"));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Collection for MilvusCollection {
    fn spec(&self) -> &CollectionSpec {
        &self.spec
    }

    async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        if let Some(unusable) = points.iter().find(|point| !self.is_usable(&point.vector)) {
            return Err(IndexError::UnusableVector(unusable.document.image_id));
        }
        // The last of an image counts; Milvus would keep both.
        let last: HashMap<_, _> = points.iter().map(|point| (point.document.image_id, point)).collect();
        let rows = last.into_values().map(Row::new).collect::<Result<Vec<_>, _>>()?;
        let writes: Vec<_> = batches(&rows, Row::bytes, MAX_IDS, WRITE_BYTES).collect();
        let written = async {
            for batch in &writes {
                self.write(batch).await?;
            }
            for batch in rows.chunks(MAX_IDS) {
                self.check_visible(batch).await?;
            }
            Ok(())
        };
        self.reader.client.bounded_in_parts("writing to the index took too long", writes.len(), written).await
    }

    async fn set_document(&self, document: &ImageDocument) -> Result<bool, IndexError> {
        let replaced = async {
            let Some(found) = self.reader.point(document.image_id).await? else { return Ok(false) };
            self.upsert(&[Point { vector: found.vector, document: document.clone() }]).await?;
            Ok(true)
        };
        self.reader.client.bounded("replacing a document took too long", replaced).await
    }

    async fn delete(&self, image_ids: &[ImageId]) -> Result<(), IndexError> {
        let client = &self.reader.client;
        for batch in image_ids.chunks(MAX_IDS) {
            let deleted = client.call("cannot delete from the index", async {
                let request = DeleteRequest::builder().collection_name(self.reader.name.as_str()).filter(images(batch));
                client.sdk.delete(request.build()?).await
            });
            deleted.await?;
        }
        Ok(())
    }

    async fn search(&self, query: &SearchQuery<'_>) -> Result<Vec<Hit>, IndexError> {
        let (offset, limit) = (query.offset, query.limit);
        if offset.checked_add(limit).is_none_or(|end| end > SEARCH_WINDOW) {
            return Err(IndexError::Window { offset, limit });
        }
        if !self.is_usable(query.vector) {
            let context = format!("a search wants a unit vector of {} dimensions", self.spec.dimension);
            return Err(unavailable(context, "embed the query with the collection's model"));
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = searching::Request {
            vector: query.vector.to_vec(),
            expression: query.filter.map(expression).unwrap_or_default(),
            limit,
            offset,
            min_score: query.min_score,
            ef: self.ef,
        };
        let search = searching::search(&self.reader, &request);
        self.reader.client.bounded("the search took too long", search).await
    }

    async fn get(&self, image_id: ImageId) -> Result<Option<Point>, IndexError> {
        self.reader.point(image_id).await
    }

    async fn list(&self, query: &ListQuery) -> Result<DocumentPage, IndexError> {
        let (order, limit) = (query.order, query.limit.clamp(1, LONGEST_PAGE));
        let cursor = query.cursor.as_deref().map(|text| Cursor::parse(text, order)).transpose()?;
        let listing = Listing { reader: &self.reader, expression: query.filter.as_ref().map(expression), order };
        self.reader.client.bounded("the list took too long", listing.page(cursor, limit)).await
    }

    async fn count(&self, filter: Option<&Filter>) -> Result<u64, IndexError> {
        self.reader.count(&filter.map(expression).unwrap_or_default()).await
    }

    fn scan(&self) -> BoxStream<'static, Result<(ImageId, Version), IndexError>> {
        let reader = self.reader.clone();
        Box::pin(async_stream::try_stream! {
            let mut last = None;
            loop {
                let page = reader.versions_after(last, SCAN_PAGE).await?;
                // A page can be short before the end: rows that are there twice for a moment count once. Only an empty
                // one is the end.
                let Some((image_id, _)) = page.last() else { break };
                last = Some(*image_id);
                for row in page {
                    yield row;
                }
            }
        })
    }
}
