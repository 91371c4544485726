//! What is remembered, and how often that helped.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    label::closed_label,
};

closed_label! {
    pub Cache {
        /// Vectors of texts that were searched for.
        QueryText = "query_text",
        /// Where originals lie.
        Locations = "locations",
        /// Originals that are read again and again.
        HotOriginals = "hot_originals",
        /// Resized copies in memory.
        Variants = "variants",
        /// Resized copies in the object store; a miss is made anew.
        StoredVariants = "stored_variants",
    }
}

closed_label! {
    pub Lookup { Hit = "hit", Miss = "miss" }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheLabels {
    pub cache: Cache,
    pub result: Lookup,
}

pub(super) static LOOKUPS: Metric<Family<CacheLabels, Counter>> = Metric::new(
    Definition {
        name: "imagesearch_cache_lookups",
        kind: Kind::Counter,
        unit: None,
        labels: &[
            Label { name: "cache", values: Values::Closed(Cache::VALUES) },
            Label { name: "result", values: Values::Closed(Lookup::VALUES) },
        ],
        help: "Looks into what is remembered",
        exposed_by: &[Exposer::Searchapi, Exposer::Cdnapi, Exposer::Ingestworker],
    },
    Family::default,
);

/// Counts a look into a cache.
pub fn looked_up(cache: Cache, is_hit: bool) {
    let result = if is_hit { Lookup::Hit } else { Lookup::Miss };
    LOOKUPS.get_or_create(&CacheLabels { cache, result }).inc();
}
