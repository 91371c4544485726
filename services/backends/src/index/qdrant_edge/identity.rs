//! `collection.json`: for which store, model and layout a collection was made.

use std::{fs, io::Write};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use shared::{ModelFingerprint, StoreId};

use super::{
    super::{CollectionSpec, IndexError},
    store::{cannot_read, is_damage},
    unavailable,
};

/// Grows when payload, indexes or vectors are laid out in another way; an older collection is rebuilt.
const SCHEMA_VERSION: u32 = 1;

const FILE: &str = "collection.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    schema_version: u32,
    store: StoreId,
    model: ModelFingerprint,
    dimension: usize,
}

impl Identity {
    fn of(spec: &CollectionSpec) -> Self {
        Self { schema_version: SCHEMA_VERSION, store: spec.store, model: spec.model.clone(), dimension: spec.dimension }
    }
}

/// Writes the identity of a new collection, durably.
pub(super) fn write(folder: &Utf8Path, spec: &CollectionSpec) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, &Identity::of(spec))?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(folder.join(FILE))?;
    fs::File::open(folder)?.sync_all()
}

/// # Errors
/// `ForeignStore` when the identity is another one, lost, or no identity: then nobody knows what is in there.
/// `Unavailable` when it can't be read for now.
pub(super) fn check(folder: &Utf8Path, spec: &CollectionSpec) -> Result<(), IndexError> {
    let bytes = match fs::read(folder.join(FILE)) {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_damage(&error) => Err(error.to_string()),
        Err(error) => return Err(unavailable(cannot_read(folder), error)),
    };
    let found = bytes.and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).map_err(|error| error.to_string()));
    if found.as_ref().is_ok_and(|identity| *identity == Identity::of(spec)) {
        return Ok(());
    }
    tracing::warn!(collection = %spec.model, ?found, expected = ?Identity::of(spec), "collection is not the one of this store");
    Err(IndexError::ForeignStore { collection: spec.model.to_string() })
}
