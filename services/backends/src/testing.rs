//! Real stores in a temporary folder, and a worker whose model needs no graph.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use camino::Utf8PathBuf;
use futures::TryStreamExt;
use serde_json::json;
use shared::{
    FailureCode, ImageFacts, ImageId, ImageRecord, Metadata, ModelFingerprint, TaskFailure, TaskResult, config::Config,
};
use tempfile::TempDir;

use crate::{
    index::Collection,
    keys,
    objects::{ObjectKey, StagedObject},
    projection::{Embedded, Presented, Projection, job_for},
    queue::{Lease, Outcome},
    records::Upload,
    stores::{OpenCollection, RebuildReason, Stores, open},
    survey::SurveyOptions,
};

pub(crate) const DIMENSION: usize = 8;
/// Bytes that begin so can't be decoded.
pub(crate) const BROKEN: &[u8] = b"broken";
const LEASE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) config: Config,
    pub(crate) stores: Stores,
    pub(crate) collection: Arc<dyn Collection>,
    pub(crate) projection: Projection,
    pub(crate) rebuild: Option<RebuildReason>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = Utf8PathBuf::from_path_buf(folder.path().join("data")).unwrap();
        Self::open(Arc::new(folder), Config { data_dir, ..Config::default() }).await
    }

    pub(crate) async fn open(folder: Arc<TempDir>, config: Config) -> Self {
        let stores = open(&config).await.unwrap();
        let OpenCollection { collection, rebuild } = stores.open_collection(&model(), DIMENSION).await.unwrap();
        let projection = stores.projection(&collection);
        Self { folder, config, stores, collection, projection, rebuild }
    }

    /// Closes everything, lets `meanwhile` do its worst, and opens it again.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce(&Config)) -> Self {
        let Self { folder, config, stores, collection, projection, .. } = self;
        drop((stores, collection, projection));
        meanwhile(&config);
        Self::open(folder, config).await
    }

    /// Stores an image without making a job for it: as if the process had died in between.
    pub(crate) async fn store(&self, bytes: &[u8]) -> ImageRecord {
        let upload = Upload {
            image_id: ImageId::of(bytes),
            size_bytes: bytes.len() as u64,
            content_type: "image/png".into(),
            name: Some("picture.png".into()),
            metadata: Metadata::default(),
        };
        self.stores.records.accept_upload(&upload, self.staged(bytes).await, None).await.unwrap()
    }

    pub(crate) async fn staged(&self, bytes: &[u8]) -> Box<dyn StagedObject> {
        let mut staged = self.stores.objects.stage().await.unwrap();
        staged.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        staged
    }

    pub(crate) async fn upload(&self, bytes: &[u8]) -> ImageRecord {
        let record = self.store(bytes).await;
        self.stores.queue.enqueue(&[job_for(&record, &model())]).await.unwrap();
        record
    }

    /// Does every job that waits; returns how many there were.
    pub(crate) async fn work(&self) -> usize {
        let mut done = 0;
        loop {
            let leases = self.stores.queue.lease(&model(), 64, LEASE, Duration::ZERO).await.unwrap();
            if leases.is_empty() {
                return done;
            }
            for lease in leases {
                let outcome = self.do_job(&lease).await;
                self.stores.queue.finish(&lease, outcome).await.unwrap();
                done += 1;
            }
        }
    }

    async fn do_job(&self, lease: &Lease) -> Outcome {
        let image_id = lease.job.source.image_id().unwrap();
        let records = &self.stores.records;
        let Some((record, bytes)) = records.read_original(image_id, 1 << 20).await.unwrap() else {
            return Outcome::Superseded;
        };
        if bytes.starts_with(BROKEN) {
            let failure = TaskFailure { code: FailureCode::Corrupt, detail: "it is broken; send another".into() };
            records.set_failure(image_id, record.version, &failure).await.unwrap();
            self.projection.align(image_id).await.unwrap();
            return Outcome::Failed(failure);
        }
        let Some(record) = records.set_facts(image_id, &facts()).await.unwrap() else { return Outcome::Superseded };
        let images = [Embedded { record, vector: vector_of(image_id) }];
        match self.projection.present(self.collection.as_ref(), &images).await.unwrap()[0] {
            Presented::Indexed => Outcome::Indexed(TaskResult { image_id, url: format!("/images/{image_id}") }),
            Presented::Superseded => Outcome::Superseded,
        }
    }

    pub(crate) async fn delete(&self, image_id: ImageId) {
        self.stores.records.delete(image_id).await.unwrap();
        self.projection.align(image_id).await.unwrap();
    }

    pub(crate) async fn is_indexed(&self, image_id: ImageId) -> bool {
        self.collection.get(image_id).await.unwrap().is_some()
    }

    pub(crate) async fn keys(&self, folder: &str) -> Vec<ObjectKey> {
        self.stores.objects.list(folder, None).map_ok(|info| info.key).try_collect().await.unwrap()
    }

    pub(crate) async fn originals(&self) -> Vec<ObjectKey> {
        self.keys(keys::ORIGINALS).await
    }
}

pub(crate) fn model() -> ModelFingerprint {
    ModelFingerprint("0123456789abcdef".into())
}

/// Nothing of what these tests leave is under way.
pub(crate) fn everything() -> SurveyOptions {
    SurveyOptions::alone_since(jiff::Timestamp::MAX)
}

pub(crate) fn facts() -> ImageFacts {
    serde_json::from_value(json!({"width": 4, "height": 3, "thumbhash": "AA==", "perceptual_hash": "0"})).unwrap()
}

/// A unit vector that belongs to this image.
pub(crate) fn vector_of(image_id: ImageId) -> Vec<f32> {
    let values: Vec<f32> = image_id.digest()[..DIMENSION].iter().map(|byte| f32::from(*byte) + 1.0).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}
