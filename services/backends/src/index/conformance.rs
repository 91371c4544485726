//! What every vector index must do, as tests against the port. An adapter runs them all with one line:
//! `conformance!(open)`, where `open` gives a fresh, empty index.

#![allow(clippy::unwrap_used)]

pub(crate) mod filters;
pub(crate) mod points;
pub(crate) mod rows;

use std::{any::Any, sync::Arc};

use jiff::Timestamp;
use shared::{ImageDocument, ImageFacts, ImageId, Metadata, ModelFingerprint, StoreId, Version};
use uuid::Uuid;

use super::{Collection, CollectionSpec, Point, SearchQuery, VectorIndex};

pub(crate) const DIMENSION: usize = 8;

/// An index under test, and whatever must live as long as it.
pub(crate) struct Opened {
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) _kept: Box<dyn Any + Send>,
}

/// Makes a test of each behaviour, named after it.
macro_rules! conformance {
    ($open:path) => {
        conformance!($open, points: [
            a_point_is_found_as_soon_as_it_is_written,
            a_point_written_again_replaces_the_first,
            a_vector_that_is_not_a_unit_vector_is_refused_and_nothing_is_written,
            a_document_is_replaced_beside_its_vector,
            a_deleted_image_is_gone_and_can_come_back,
            a_search_is_best_first_and_ties_are_in_the_order_of_ids,
            a_search_ends_at_its_window_and_its_least_score,
            a_search_sees_only_what_its_filter_passes,
        ]);
        conformance!($open, rows: [
            a_list_is_in_the_order_of_creation_in_pages_that_inserts_do_not_shift,
            a_list_is_filtered_and_counted,
            a_cursor_of_another_list_is_refused,
            a_scan_yields_every_image_once_with_its_version,
            collections_are_apart_listed_and_removed,
            a_collection_of_another_store_or_dimension_is_refused,
        ]);
        conformance!($open, filters: [filters_mean_what_the_language_says]);
    };
    ($open:path, $module:ident: [$($behaviour:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                let opened = $open();
                $crate::index::conformance::$module::$behaviour(&*opened.index).await;
            }
        )*
    };
}
pub(crate) use conformance;

pub(crate) fn spec() -> CollectionSpec {
    CollectionSpec {
        model: ModelFingerprint("0123456789abcdef".into()),
        dimension: DIMENSION,
        store: StoreId(Uuid::from_u128(7)),
    }
}

pub(crate) async fn collection(index: &dyn VectorIndex) -> Arc<dyn Collection> {
    index.open(&spec()).await.unwrap()
}

/// A document that differs from others in its name, and so in its id.
pub(crate) fn document(name: &str) -> ImageDocument {
    ImageDocument {
        image_id: ImageId::of(name.as_bytes()),
        version: Version(1),
        size_bytes: 1000,
        content_type: "image/jpeg".into(),
        name: Some(name.into()),
        created: Timestamp::UNIX_EPOCH,
        metadata: Metadata::default(),
        facts: None,
    }
}

pub(crate) fn facts(width: u32, height: u32, partial: bool) -> ImageFacts {
    ImageFacts {
        width,
        height,
        partial,
        thumbhash: String::new(),
        perceptual_hash: String::new(),
        latitude: None,
        longitude: None,
        exif_date: None,
    }
}

/// A unit vector at an angle to the first axis: its cosine to `vector(0.0)` is the cosine of the angle.
pub(crate) fn vector(radians: f32) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    (vector[0], vector[1]) = (radians.cos(), radians.sin());
    vector
}

pub(crate) fn point(name: &str, radians: f32) -> Point {
    Point { vector: vector(radians), document: document(name) }
}

pub(crate) fn query(vector: &[f32], offset: usize, limit: usize) -> SearchQuery<'_> {
    SearchQuery { vector, filter: None, limit, offset, min_score: None }
}

pub(crate) fn ids<'a>(documents: impl IntoIterator<Item = &'a ImageDocument>) -> Vec<ImageId> {
    documents.into_iter().map(|document| document.image_id).collect()
}
