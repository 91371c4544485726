//! How the scores of one collection spread where query and image have nothing to do with each other. Measured on a sample
//! of what is indexed, kept as one small object, and measured again as the collection grows: what is measured says nothing
//! of when, so it can be done twice, by several at once, or be lost.

use std::{num::NonZeroU64, sync::Arc};

use embedding::cosine;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use shared::ModelFingerprint;

use crate::{
    error::StoreError,
    index::{Collection, IndexError},
    keys,
    objects::{ETag, ObjectError, ObjectStore, PutCondition},
};

/// Fewer images say too little of a collection.
pub const MIN_IMAGES: u64 = 16;
/// More images make no number better that is told with two digits.
const MAX_SAMPLE: usize = 512;
/// Vectors read at once.
const PARALLEL_READS: usize = 16;
const MAX_BYTES: u64 = 4096;
/// Of cosines that differ at all.
const LEAST_DEVIATION: f64 = 1e-6;

/// Mean and standard deviation of cosines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Images that were indexed when it was measured.
    pub images: u64,
    /// Of texts with images.
    pub texts: Spread,
    /// Of images with each other.
    pub pictures: Spread,
}

/// A collection that should be measured.
#[derive(Debug)]
pub struct Due {
    images: u64,
    /// What it replaces.
    seen: Option<ETag>,
}

/// The calibration of a model's collection; `None` until one was measured. A damaged one is none, and measured anew.
pub async fn read(objects: &dyn ObjectStore, model: &ModelFingerprint) -> Result<Option<Calibration>, ObjectError> {
    Ok(find(objects, model).await?.0)
}

/// Looks whether the collection has grown, or shrunk, by enough since it was measured.
pub async fn due(objects: &dyn ObjectStore, collection: &dyn Collection) -> Result<Option<Due>, StoreError> {
    let images = collection.count(None).await?;
    let (kept, seen) = find(objects, &collection.spec().model).await?;
    Ok(is_due(kept.as_ref(), images).then_some(Due { images, seen }))
}

async fn find(
    objects: &dyn ObjectStore,
    model: &ModelFingerprint,
) -> Result<(Option<Calibration>, Option<ETag>), ObjectError> {
    let Some((info, bytes)) = objects.get(&keys::calibration(model), MAX_BYTES).await? else { return Ok((None, None)) };
    Ok((serde_json::from_slice(&bytes).ok(), Some(info.etag)))
}

impl Due {
    /// Measures and keeps it. `texts` are unit vectors of texts that have nothing to do with the images. `None` when there is
    /// nothing to tell from it, or when somebody else was faster.
    pub async fn measure(
        self,
        objects: &dyn ObjectStore,
        collection: &dyn Collection,
        texts: Arc<[Vec<f32>]>,
    ) -> Result<Option<Calibration>, StoreError> {
        let vectors = sample(collection).await?;
        // Tens of millions of multiplications. It breaks off only when the process ends.
        let measuring = tokio::task::spawn_blocking(move || Calibration::measure(self.images, &texts, &vectors));
        let Ok(Some(measured)) = measuring.await else { return Ok(None) };
        let bytes = serde_json::to_vec_pretty(&measured).expect("plain data always serialises");
        let condition = self.seen.map_or(PutCondition::Absent, PutCondition::Matches);
        match objects.put(&keys::calibration(&collection.spec().model), bytes.into(), condition).await {
            Ok(_) => Ok(Some(measured)),
            Err(ObjectError::Precondition(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Again at half as many images more, or at fewer than half: eleven times up to a thousand images, and then six times for each
/// tenfold growth.
fn is_due(kept: Option<&Calibration>, images: u64) -> bool {
    images >= MIN_IMAGES && kept.is_none_or(|kept| 2 * images >= 3 * kept.images || 2 * images < kept.images)
}

/// Vectors of some images. Their ids are hashes, so those that come first are like all others.
async fn sample(collection: &dyn Collection) -> Result<Vec<Vec<f32>>, IndexError> {
    let ids: Vec<_> = collection.scan().take(MAX_SAMPLE).map_ok(|(image_id, _)| image_id).try_collect().await?;
    let points = stream::iter(ids).map(|image_id| collection.get(image_id)).buffered(PARALLEL_READS);
    // What was deleted meanwhile has none.
    points.try_filter_map(|point| async { Ok(point.map(|point| point.vector)) }).try_collect().await
}

impl Calibration {
    /// Of every text with every image, and of every two images. `None` when there are too few, or when all scores of a kind
    /// are the same, so that nothing can be told from them.
    fn measure(images: u64, texts: &[Vec<f32>], vectors: &[Vec<f32>]) -> Option<Self> {
        if (vectors.len() as u64) < MIN_IMAGES {
            return None;
        }
        let with_texts = vectors.iter().flat_map(|image| texts.iter().map(move |text| cosine(text, image)));
        let pairs =
            vectors.iter().enumerate().flat_map(|(at, one)| vectors[..at].iter().map(move |other| (one, other)));
        let each_other = pairs.map(|(one, other)| cosine(one, other));
        Some(Self { images, texts: Spread::of(with_texts)?, pictures: Spread::of(each_other)? })
    }
}

impl Spread {
    fn of(cosines: impl Iterator<Item = f32>) -> Option<Self> {
        let (mut count, mut sum, mut squares) = (0_u64, 0.0, 0.0);
        for cosine in cosines.map(f64::from) {
            count += 1;
            sum += cosine;
            squares += cosine * cosine;
        }
        let count = NonZeroU64::new(count)?.get() as f64;
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        (deviation > LEAST_DEVIATION).then_some(Self { mean, deviation })
    }
}

#[cfg(test)]
mod tests;
