//! What a search computes before it asks the index.

use std::time::Duration;

use prometheus_client::{encoding::EncodeLabelSet, registry::Unit};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    histogram::{Durations, DurationsBy, WORK_BUCKETS_S, observe},
    label::closed_label,
};

closed_label! {
    /// What is searched by.
    pub Input { Text = "text", Picture = "picture" }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueryLabels {
    pub input: Input,
}

pub(super) static EMBEDDED: Metric<DurationsBy<QueryLabels>> = Metric::new(
    Definition {
        name: "imagesearch_query_embed_duration",
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        labels: &[Label { name: "input", values: Values::Closed(Input::VALUES) }],
        help: "Time from a query to its vector, decoding and the wait for a session included",
        exposed_by: &[Exposer::Searchapi],
    },
    || DurationsBy::new_with_constructor(|| Durations::new(WORK_BUCKETS_S.into_iter())),
);

/// Counts a query that has its vector.
pub fn embedded(input: Input, took: Duration) {
    observe(&EMBEDDED.get_or_create(&QueryLabels { input }), took);
}
