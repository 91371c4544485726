//! What a score means: from a cosine, which every model scales in its own way, to a relevance between 0 and 1.
//!
//! A cosine is compared with those of queries and images that have nothing to do with each other (z-norm: Auckenthaler,
//! Carey and Lloyd-Thomas, "Score Normalization for Text-Independent Speaker Verification Systems", 2000), after Fisher's
//! transformation of correlation coefficients ("On the probable error of a coefficient of correlation", 1921), which has
//! room for "the same picture" however near to 1 they all are. How many deviations above their mean it lies becomes a
//! relevance by a logistic curve (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).

use backends::calibration::{Calibration, Spread};

/// Deviations above the mean that have a relevance of one half: of a normal distribution, one in a thousand lies higher.
const HALF_AT: f64 = 3.09;
/// How steep the curve is there. Fitted as Platt does, the halfway point kept, to the captions of 67 photos with their own
/// photos, against the reference captions with all of them: 1.95 with the bundled model, 1.75 with a second one.
const STEEPNESS: f64 = 2.0;
/// Cosines above this are the same picture, give or take a rounding.
const SAME: f64 = 0.999_999;

/// A score as the sum of a text's and a picture's cosines: the share of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    pub(crate) text: f64,
    pub(crate) picture: f64,
}

/// The scores of one query: what they mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// In Fisher's space, of scores that mean nothing.
    mean: f64,
    deviation: f64,
}

impl Shares {
    pub(crate) const TEXT: Self = Self { text: 1.0, picture: 0.0 };
    pub(crate) const PICTURE: Self = Self { text: 0.0, picture: 1.0 };
}

impl Scale {
    /// Mean and deviation of a sum follow from those of its parts; the deviation as if the two always rose and fell together,
    /// the most that it can be, so that a mixed query claims no more than it can.
    pub(crate) fn new(calibration: &Calibration, shares: Shares) -> Self {
        let Calibration { texts, pictures, .. } = calibration;
        let sum = |part: fn(&Spread) -> f64| shares.text * part(texts) + shares.picture * part(pictures);
        let mean = sum(|spread| spread.mean).clamp(-SAME, SAME);
        // The transformation stretches a small deviation by its slope.
        Self { mean: mean.atanh(), deviation: sum(|spread| spread.deviation) / (1.0 - mean * mean) }
    }

    /// Of a cosine; rises with it.
    pub(crate) fn relevance(&self, score: f32) -> f32 {
        let deviations = (f64::from(score).clamp(-SAME, SAME).atanh() - self.mean) / self.deviation;
        (1.0 / (1.0 + (-STEEPNESS * (deviations - HALF_AT)).exp())) as f32
    }

    /// The cosine that has a relevance, which lies between 0 and 1.
    pub(crate) fn score(&self, relevance: f32) -> f32 {
        let relevance = f64::from(relevance);
        let deviations = HALF_AT + (relevance / (1.0 - relevance)).ln() / STEEPNESS;
        (self.mean + deviations * self.deviation).tanh().clamp(-SAME, SAME) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two models that see the same, one of them in narrower cosines.
    fn scales() -> [Scale; 2] {
        let wide = Spread { mean: 0.136, deviation: 0.11 };
        let narrow = Spread { mean: 0.058, deviation: 0.054 };
        [wide, narrow].map(|texts| {
            let pictures = Spread { mean: texts.mean * 2.0, deviation: texts.deviation * 2.0 };
            Scale::new(&Calibration { images: 1000, texts, pictures }, Shares::TEXT)
        })
    }

    #[test]
    fn relevance_rises_with_the_score_and_stays_between_0_and_1() {
        for scale in scales() {
            let relevances: Vec<f32> = (-1000..=1000).map(|score| scale.relevance(score as f32 / 1000.0)).collect();
            assert!(relevances.is_sorted());
            assert!(relevances[0] >= 0.0 && relevances[0] < 0.01, "{}", relevances[0]);
            assert!(relevances[2000] <= 1.0 && relevances[2000] > 0.99, "{}", relevances[2000]);
        }
    }

    #[test]
    fn the_score_of_a_relevance_has_that_relevance() {
        for scale in scales() {
            for relevance in [0.01, 0.25, 0.5, 0.75, 0.99] {
                let found = scale.relevance(scale.score(relevance));
                assert!((found - relevance).abs() < 1e-4, "{found} instead of {relevance}");
            }
            assert!(scale.score(1.0) <= 1.0 && scale.relevance(scale.score(1.0)) > 0.999);
            assert!(scale.relevance(scale.score(0.0)) < 0.001);
        }
    }

    #[test]
    fn half_is_where_one_random_pair_in_a_thousand_lies_higher() {
        let [wide, narrow] = scales();
        // Fisher's transformation is nearly the identity for small cosines: a little below the mean and 3.09 deviations.
        assert!((0.43..0.136 + 3.09 * 0.11).contains(&wide.score(0.5)), "{}", wide.score(0.5));
        assert!((0.21..0.058 + 3.09 * 0.054).contains(&narrow.score(0.5)), "{}", narrow.score(0.5));
        assert!(wide.relevance(0.136) < 0.003 && narrow.relevance(0.058) < 0.003, "what is usual is not relevant");
    }

    #[test]
    fn a_model_with_narrower_or_higher_cosines_says_nearly_the_same() {
        let spread = Spread { mean: 0.136, deviation: 0.11 };
        let scale = |texts| Scale::new(&Calibration { images: 1000, texts, pictures: spread }, Shares::TEXT);
        let usual = scale(spread);
        // Half as wide; a quarter as wide and above zero, as CLIP's are; narrow and near to 1.
        for (lift, width) in [(0.0, 0.5), (0.15, 0.25), (0.6, 0.3)] {
            let scaled = |cosine: f64| lift + width * cosine;
            let other = scale(Spread { mean: scaled(spread.mean), deviation: width * spread.deviation });
            for score in [0.1, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7] {
                let (here, there) = (usual.relevance(score), other.relevance(scaled(f64::from(score)) as f32));
                assert!((here - there).abs() < 0.13, "{score}, {lift} + {width}: {here}, {there}");
            }
        }
    }

    #[test]
    fn the_same_picture_is_relevant_also_where_all_are_alike() {
        let pictures = Spread { mean: 0.7, deviation: 0.12 };
        let calibration = Calibration { images: 30, texts: Spread { mean: 0.2, deviation: 0.1 }, pictures };
        let scale = Scale::new(&calibration, Shares::PICTURE);
        assert!(scale.relevance(1.0) > 0.99 && scale.relevance(0.8) < 0.1, "{}", scale.relevance(0.8));
    }

    #[test]
    fn a_mix_lies_between_its_parts_and_is_either_of_them_alone() {
        let texts = Spread { mean: 0.1, deviation: 0.1 };
        let calibration = Calibration { images: 30, texts, pictures: Spread { mean: 0.5, deviation: 0.1 } };
        let score = |text, picture| Scale::new(&calibration, Shares { text, picture }).score(0.5);
        assert!(score(1.0, 0.0) < score(0.5, 0.5) && score(0.5, 0.5) < score(0.0, 1.0));
        // The shares of a mix that was brought back to unit length add up to more than one, and so does the usual score.
        assert!(score(0.7, 0.7) > score(0.5, 0.5));
    }
}
