//! Which models have a collection that is kept in line with the records, and why: one small document in the object store,
//! so that a change of the model goes on after a crash where it was.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::model::{KnownModel, ModelChoice, PreviousModel};

use crate::{
    error::StoreError,
    keys,
    objects::{ObjectStore, PutCondition},
};

const MAX_BYTES: u64 = 1 << 20;

/// Written before what it says is done, except that a model becomes `current` only when it has all images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRegistry {
    /// What the configuration said last: only when it says something else does it change what is wanted.
    pub configured: ModelChoice,
    pub wanted: ModelChoice,
    /// Searches use it.
    pub current: KnownModel,
    /// It is to become the current one, and its collection fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<KnownModel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousModel>,
}

impl ModelRegistry {
    /// One that can't be parsed is none: it can be made anew from the configuration.
    pub async fn read(objects: &dyn ObjectStore) -> Result<Option<Self>, StoreError> {
        let Some((_, bytes)) = objects.get(&keys::model_registry(), MAX_BYTES).await? else { return Ok(None) };
        let parsed = serde_json::from_slice(&bytes);
        if let Err(error) = &parsed {
            tracing::warn!(%error, key = %keys::model_registry(), "the registry of models can't be read; it is made anew");
        }
        Ok(parsed.ok())
    }

    pub async fn write(&self, objects: &dyn ObjectStore) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec_pretty(self).expect("plain data becomes JSON");
        objects.put(&keys::model_registry(), Bytes::from(bytes), PutCondition::None).await?;
        Ok(())
    }
}
