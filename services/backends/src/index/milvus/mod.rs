//! The distributed vector index: Milvus, one collection a model.
//!
//! - Reads are strong. Nothing weaker keeps "a search that starts after a write returned finds it" between processes: what
//!   the SDK calls a session ends with its process, and a bounded read may be seconds behind. Since 2.6 a strong read
//!   waits for the last write only, before that for the next time tick.
//! - Requests keep to what Milvus has had since 2.3: no order, no iterators, no nullable columns, no templates.
//! - Replies of more than 4 MiB can't be received, so documents are read in batches bounded by their bytes.

mod client;
mod collection;
mod listing;
mod reading;
mod row;
mod schema;
mod searching;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
mod translate;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use milvus::v2::request::collection::{DropCollectionRequest, ListCollectionsRequest};
use shared::{ModelFingerprint, config};
use tokio::sync::Mutex;

use self::{
    client::Client,
    collection::MilvusCollection,
    reading::Reader,
    schema::{Identity, collection_name},
};
use super::{Collection, CollectionSpec, IndexError, VectorIndex};

/// The collections of one deployment in one database of Milvus.
pub struct MilvusIndex {
    client: Client,
    settings: config::Milvus,
    /// What somebody holds has to be searchable before this index is ready.
    open: Mutex<HashMap<ModelFingerprint, Weak<MilvusCollection>>>,
}

impl MilvusIndex {
    /// Connects. A server that goes away later is connected to again, without a new index.
    ///
    /// # Errors
    /// `Unavailable` when the server doesn't answer in time or refuses the user.
    pub async fn open(config: &config::Milvus) -> Result<Self, IndexError> {
        let client = Client::connect(config).await?;
        Ok(Self { client, settings: config.clone(), open: Mutex::default() })
    }

    fn name(&self, model: &ModelFingerprint) -> String {
        collection_name(&self.settings.collection_prefix, model)
    }

    async fn names(&self) -> Result<Vec<String>, IndexError> {
        let listed = self.client.call("cannot list collections", async {
            let request = ListCollectionsRequest::builder().database_name(self.settings.database.as_str());
            self.client.sdk.list_collections(request.build()?).await
        });
        Ok(listed.await?.collection_names().to_vec())
    }
}

#[async_trait]
impl VectorIndex for MilvusIndex {
    async fn open(&self, spec: &CollectionSpec) -> Result<Arc<dyn Collection>, IndexError> {
        let name = self.name(&spec.model);
        if !schema::exists(&self.client, &name).await? {
            schema::create(&self.client, &name, spec).await?;
        }
        let found = schema::identity(&self.client, &name).await?;
        if found.as_ref() != Some(&Identity::of(spec)) {
            tracing::warn!(collection = %spec.model, ?found, expected = ?Identity::of(spec), "collection is not the one of this store");
            return Err(IndexError::ForeignStore { collection: spec.model.to_string() });
        }
        schema::create_indexes(&self.client, &name, &self.settings).await?;
        schema::load(&self.client, &name, self.settings.replicas).await?;
        let reader = Reader { client: self.client.clone(), name };
        let ef = usize::try_from(self.settings.hnsw_ef).unwrap_or(usize::MAX);
        let collection = Arc::new(MilvusCollection { spec: spec.clone(), reader, ef });
        self.open.lock().await.insert(spec.model.clone(), Arc::downgrade(&collection));
        Ok(collection)
    }

    async fn collections(&self) -> Result<Vec<ModelFingerprint>, IndexError> {
        let start = self.name(&ModelFingerprint(String::new()));
        let mut models = Vec::new();
        for name in self.names().await?.iter().filter(|name| name.starts_with(&start)) {
            // Another deployment's prefix may begin with ours; only the whole name tells.
            let identity = schema::identity(&self.client, name).await?;
            models.extend(identity.map(|identity| identity.model).filter(|model| self.name(model) == *name));
        }
        models.sort();
        Ok(models)
    }

    async fn remove(&self, model: &ModelFingerprint) -> Result<bool, IndexError> {
        let name = self.name(model);
        if !schema::exists(&self.client, &name).await? {
            return Ok(false);
        }
        let dropped = self.client.call("cannot drop a collection", async {
            self.client.sdk.drop_collection(DropCollectionRequest::builder().collection_name(name).build()?).await
        });
        dropped.await?;
        self.open.lock().await.remove(model);
        Ok(true)
    }

    /// Ready once every collection that is in use is loaded and answers.
    async fn ready(&self) -> Result<(), IndexError> {
        let open: Vec<_> = self.open.lock().await.values().filter_map(Weak::upgrade).collect();
        if open.is_empty() {
            return self.names().await.map(drop);
        }
        for collection in open {
            schema::check_searchable(&self.client, &collection.reader.name, self.settings.replicas).await?;
        }
        Ok(())
    }
}
