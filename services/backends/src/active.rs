//! The collections that are kept in line with the records: that of the model which searches use, and while the model is
//! being changed, that of the other one too.

use std::sync::Arc;

use arc_swap::ArcSwap;
use shared::ModelFingerprint;

use crate::index::Collection;

/// A list that everybody in a process shares, the collection that is searched first.
///
/// Whoever writes a record reads the list *afterwards*: then either it names a collection that was just added, or the record
/// was there before the collection was, and whoever fills that finds it.
#[derive(Clone)]
pub struct ActiveCollections(Arc<ArcSwap<Vec<Arc<dyn Collection>>>>);

impl ActiveCollections {
    pub fn new(searched: Arc<dyn Collection>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(vec![searched])))
    }

    /// The one that searches use.
    pub fn searched(&self) -> Arc<dyn Collection> {
        self.0.load()[0].clone()
    }

    pub fn all(&self) -> Arc<Vec<Arc<dyn Collection>>> {
        self.0.load_full()
    }

    /// Takes a collection up, in the place of the one of its model if there is one.
    pub fn add(&self, collection: &Arc<dyn Collection>) {
        self.change(|collections| match position(collections, &collection.spec().model) {
            Some(place) => collections[place] = collection.clone(),
            None => collections.push(collection.clone()),
        });
    }

    /// Lets a model's collection go; the one that is searched stays.
    pub fn remove(&self, model: &ModelFingerprint) {
        self.change(|collections| {
            if let Some(place @ 1..) = position(collections, model) {
                collections.remove(place);
            }
        });
    }

    /// From now on this model's collection is the one that searches use.
    pub fn search(&self, model: &ModelFingerprint) {
        self.change(|collections| {
            if let Some(place) = position(collections, model) {
                collections[..=place].rotate_right(1);
            }
        });
    }

    fn change(&self, change: impl Fn(&mut Vec<Arc<dyn Collection>>)) {
        self.0.rcu(|collections| {
            let mut changed = Vec::clone(collections);
            change(&mut changed);
            changed
        });
    }
}

impl From<Arc<dyn Collection>> for ActiveCollections {
    fn from(searched: Arc<dyn Collection>) -> Self {
        Self::new(searched)
    }
}

impl From<&Arc<dyn Collection>> for ActiveCollections {
    fn from(searched: &Arc<dyn Collection>) -> Self {
        Self::new(searched.clone())
    }
}

fn position(collections: &[Arc<dyn Collection>], model: &ModelFingerprint) -> Option<usize> {
    collections.iter().position(|collection| collection.spec().model == *model)
}
