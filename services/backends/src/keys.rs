//! Where everything lies in the object store: the one place that makes keys and reads them.

use std::fmt::Write as _;

use embedding::Checksum;
use shared::{CopyId, ImageId, ModelFingerprint};

use crate::{
    models::ModelKey,
    objects::{ObjectError, ObjectKey},
};

/// Folder of the records, one an image.
pub const RECORDS: &str = "records";
/// Folder of the bytes as they came.
pub const ORIGINALS: &str = "originals";
/// Folder of the resized copies.
pub const VARIANTS: &str = "variants";
/// Folder of the models, each in a folder of its own.
pub const MODELS: &str = "models";
/// Folder of the calibrations, one a collection.
pub const CALIBRATIONS: &str = "calibrations";

/// Who the store is.
pub fn store() -> ObjectKey {
    ObjectKey::known("store.json".into())
}

/// Which models are in use.
pub fn model_registry() -> ObjectKey {
    ObjectKey::known("model-registry.json".into())
}

pub fn record(image_id: ImageId) -> ObjectKey {
    ObjectKey::known(format!("{}/{image_id}.json", shard_of(RECORDS, image_id)))
}

pub fn original(image_id: ImageId, copy: CopyId) -> ObjectKey {
    ObjectKey::known(format!("{}/{image_id}.{copy}", shard_of(ORIGINALS, image_id)))
}

/// One resized copy, by a name of the caller's.
///
/// # Errors
/// `InvalidKey` when the name is not a segment of a key.
pub fn variant(image_id: ImageId, name: &str) -> Result<ObjectKey, ObjectError> {
    if name.contains('/') {
        return Err(ObjectError::InvalidKey(name.into()));
    }
    ObjectKey::new(format!("{}/{name}", variants(image_id)))
}

/// The folder of an image's resized copies.
pub fn variants(image_id: ImageId) -> String {
    format!("{}/{image_id}", shard_of(VARIANTS, image_id))
}

/// What a stored model is made of.
pub fn model_manifest(model: &ModelKey) -> ObjectKey {
    ObjectKey::known(format!("{MODELS}/{}/manifest.json", model.as_str()))
}

/// The stored model whose manifest has this key.
pub fn model_of_manifest(key: &ObjectKey) -> Option<ModelKey> {
    let [MODELS, model, "manifest.json"] = key.as_str().split('/').collect::<Vec<_>>()[..] else { return None };
    ModelKey::parse(model)
}

/// One file of a stored model, whatever it is called there.
pub fn model_file(model: &ModelKey, checksum: Checksum) -> ObjectKey {
    ObjectKey::known(format!("{MODELS}/{}/{checksum}", model.as_str()))
}

/// Whether something is a file of a stored model.
pub fn is_model_file(key: &ObjectKey) -> bool {
    match key.as_str().split('/').collect::<Vec<_>>()[..] {
        [MODELS, model, file] => hex::decode(model).is_ok() && file.parse::<Checksum>().is_ok(),
        _ => false,
    }
}

/// What is known of the scores of a model's collection.
pub fn calibration(model: &ModelFingerprint) -> ObjectKey {
    ObjectKey::known(format!("{CALIBRATIONS}/{model}.json"))
}

/// The part of a folder that holds the images whose id starts with this byte: a 256th.
pub fn shard(folder: &str, first_byte: u8) -> String {
    format!("{folder}/{first_byte:02x}")
}

/// The image whose record has this key.
pub fn image_of_record(key: &ObjectKey) -> Option<ImageId> {
    let image_id = last_segment(key).strip_suffix(".json")?.parse().ok()?;
    (record(image_id) == *key).then_some(image_id)
}

/// The image and the copy whose bytes have this key.
pub fn copy_of_original(key: &ObjectKey) -> Option<(ImageId, CopyId)> {
    let (image_id, copy) = last_segment(key).split_once('.')?;
    let (image_id, copy) = (image_id.parse().ok()?, copy.parse().ok()?);
    (original(image_id, copy) == *key).then_some((image_id, copy))
}

/// Whether the bytes of an image have this key.
pub(crate) fn is_original(key: &ObjectKey) -> bool {
    copy_of_original(key).is_some()
}

fn shard_of(folder: &str, image_id: ImageId) -> String {
    let mut shard = String::with_capacity(folder.len() + 3);
    let _ = write!(shard, "{folder}/{:02x}", image_id.digest()[0]);
    shard
}

fn last_segment(key: &ObjectKey) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_to_what_they_were_made_of() {
        let (image_id, copy) = (ImageId::of(b"foo"), CopyId::new());
        assert_eq!(record(image_id).as_str(), format!("records/2c/{image_id}.json"));
        assert_eq!(image_of_record(&record(image_id)), Some(image_id));
        assert_eq!(copy_of_original(&original(image_id, copy)), Some((image_id, copy)));
        assert_eq!(variants(image_id), format!("variants/2c/{image_id}"));
    }

    #[test]
    fn keys_that_only_look_alike_belong_to_nobody() {
        let image_id = ImageId::of(b"foo");
        let misplaced = ObjectKey::new(format!("records/00/{image_id}.json")).expect("a key");
        assert_eq!(image_of_record(&misplaced), None);
        assert_eq!(copy_of_original(&record(image_id)), None);
        assert!(variant(image_id, "../../records").is_err());
        assert!(variant(image_id, "w320.webp").is_ok());
    }
}
