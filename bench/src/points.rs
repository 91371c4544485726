//! What an ingest leaves in an index, as many as are wanted: vectors scattered around those of the photos, with documents.

use std::ops::Range;

use anyhow::Result;
use backends::index::Point;
use embedding::Embedder;
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use shared::{ImageDocument, ImageFacts, ImageId, Metadata, Version};

use crate::images;

/// How far the vectors lie from those of the photos: as far as pictures of one kind do.
const SPREAD: f32 = 0.03;

pub(crate) struct Points {
    centers: Vec<(Vec<f32>, ImageFacts)>,
    random: SmallRng,
}

impl Points {
    pub(crate) async fn around_photos(embedder: &Embedder) -> Result<Self> {
        let mut prepared = Vec::new();
        for photo in images::read(&images::photo_paths()?)? {
            prepared.push(embedder.prepare(photo).await?);
        }
        let centers = embedder.embed_batch(prepared).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self { centers, random: SmallRng::seed_from_u64(1) })
    }

    pub(crate) fn make(&mut self, numbers: Range<usize>) -> Vec<Point> {
        let Self { centers, random } = self;
        let make = |number: usize| {
            let (center, facts) = &centers[number % centers.len()];
            let mut document = document(number);
            document.facts = Some(facts.clone());
            Point { vector: scattered(center, random), document }
        };
        numbers.map(make).collect()
    }
}

fn document(number: usize) -> ImageDocument {
    let name = format!("IMG_{number:06}.jpg");
    ImageDocument {
        image_id: ImageId::of(name.as_bytes()),
        version: Version::after(None),
        size_bytes: name.len() as u64,
        content_type: "image/jpeg".into(),
        metadata: Metadata {
            tags: vec![format!("album{}", number / 500)],
            caption: Some(format!("a photo of thing {} near place {}", number % 997, number % 89)),
            ..Metadata::default()
        },
        name: Some(name),
        created: Timestamp::now(),
        facts: None,
    }
}

fn scattered(center: &[f32], random: &mut SmallRng) -> Vec<f32> {
    let vector: Vec<f32> = center.iter().map(|value| value + SPREAD * random.random_range(-1.0..1.0_f32)).collect();
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.into_iter().map(|value| value / length).collect()
}
