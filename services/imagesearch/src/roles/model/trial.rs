//! Whether a model tells one thing from another: a look at what it makes of two texts and two photos.

use std::sync::Arc;

use embedding::{Embedder, cosine};

use crate::assets;

/// A text, and the sample photo that it should find before the other one.
const TRIALS: [(&str, &str); 2] = [("a giraffe", "giraffe.jpg"), ("a cat", "cat.jpg")];
/// Vectors of two texts, or of two photos, that are nearer than this are the same.
const SAME: f32 = 0.9999;

/// What the model makes of the trials.
pub(crate) struct Trial {
    texts: Vec<Arc<[f32]>>,
    photos: Vec<Vec<f32>>,
}

impl Trial {
    /// # Errors
    /// Also when a vector is zero or not finite.
    pub(crate) async fn of(embedder: &Embedder) -> anyhow::Result<Self> {
        let samples = assets::samples()?;
        let mut trial = Self { texts: Vec::new(), photos: Vec::new() };
        for (text, photo) in TRIALS {
            trial.texts.push(embedder.embed_text(text).await?);
            let sample = samples
                .iter()
                .find(|sample| sample.name == photo)
                .ok_or_else(|| anyhow::anyhow!("the sample {photo} is missing"))?;
            trial.photos.push(embedder.embed_query_image(sample.bytes.to_vec().into()).await?);
        }
        Ok(trial)
    }

    /// By how much texts find their own photos before the other's: the smallest difference of cosines.
    pub(crate) fn margin(&self) -> f32 {
        let Self { texts, photos } = self;
        let cosines = |text: usize| [0, 1].map(|photo: usize| cosine(&texts[text], &photos[photo]));
        let ([giraffe, other_cat], [other_giraffe, cat]) = (cosines(0), cosines(1));
        (giraffe - other_cat).min(cat - other_giraffe)
    }

    pub(crate) fn is_constant(&self) -> bool {
        cosine(&self.texts[0], &self.texts[1]) > SAME || cosine(&self.photos[0], &self.photos[1]) > SAME
    }
}
