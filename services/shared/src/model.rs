//! Which model is used, and how far a change of it has come, as users and the object store see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type},
};

use crate::{
    config::{self, ModelChecksums},
    id::ModelFingerprint,
};

/// A model as it is asked for: `model.source` and `model.sha256` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// `bundled`, a folder, `https://…` archive, `hf://org/repo@revision[/subfolder]`, or `s3://bucket[/folder]`.
    #[schema(example = "hf://Xenova/clip-vit-base-patch32", pattern = r"\S")]
    pub source: String,
    /// SHA-256 of the archive, when the source is one, or of the model's files by their paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = checksums_schema, required = false)]
    pub sha256: Option<ModelChecksums>,
}

impl ModelChoice {
    /// What is wrong with it, as far as that can be told without the model.
    pub fn fault(&self) -> Option<&'static str> {
        let are_checksums = match &self.sha256 {
            None => true,
            Some(ModelChecksums::Archive(checksum)) => config::is_checksum(checksum),
            Some(ModelChecksums::Files(files)) => files.values().all(|checksum| config::is_checksum(checksum)),
        };
        if self.source.trim().is_empty() {
            Some("source must name a model, for example bundled")
        } else {
            (!are_checksums).then_some("sha256 must be 64 hexadecimal digits, or an object of files and such digits")
        }
    }
}

fn checksums_schema() -> Schema {
    let checksum = || ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-fA-F]{64}$"));
    let files = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(Schema::from(checksum())));
    let absent = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(checksum()).item(files).item(absent).into()
}

impl ModelChoice {
    /// The second model of a configuration that names one.
    pub fn beside(model: &config::Model) -> Option<Self> {
        let config::Beside { source, sha256, .. } = model.beside.clone();
        Some(Self { source: source?, sha256 })
    }
}

impl From<&config::Model> for ModelChoice {
    fn from(model: &config::Model) -> Self {
        Self { source: model.source.clone(), sha256: model.sha256.clone() }
    }
}

/// A model that was loaded, and so is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownModel {
    #[serde(flatten)]
    pub choice: ModelChoice,
    pub fingerprint: ModelFingerprint,
    /// Length of its vectors.
    pub dimension: usize,
}

/// The model of before, whose collection is kept up to date for a while: until then going back takes a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviousModel {
    #[serde(flatten)]
    pub model: KnownModel,
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// The model that searches use, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelStatus {
    /// Searches use it.
    pub current: KnownModel,
    /// The change that is under way, or why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ModelChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousModel>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelChange {
    /// What is wanted instead of the current model.
    pub to: ModelChoice,
    pub phase: ChangePhase,
    /// Images that the new model has indexed.
    pub indexed: u64,
    /// Images that it has to index in all.
    pub images: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Why the change stopped, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far the collection of one model is with what that of another one has: told by `imagesearch model fill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FillProgress {
    /// Its collection is filled.
    pub model: KnownModel,
    /// Searches use this one meanwhile.
    pub beside: KnownModel,
    /// Images that the new model has indexed.
    pub indexed: u64,
    /// Images that it has to index in all.
    pub images: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

impl FillProgress {
    /// What it is called in its bucket.
    pub const KEY: &str = "fill";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangePhase {
    /// The new model is fetched, loaded and tried.
    Loading,
    /// The stored images go into its collection.
    Indexing,
    /// It has them all; the last ones are compared.
    Switching,
    /// The current model stays; `reason` says why. Ask for another model, or for the same once more.
    Failed,
}
