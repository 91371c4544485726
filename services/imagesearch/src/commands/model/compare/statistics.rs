//! How well a model finds what it should, and how surely one model finds better than another.

use std::fmt;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use serde::Serialize;

const RESAMPLES: usize = 10_000;
/// Any; it only has to be the same each time, so that the same measurement has the same interval.
const SEED: u64 = 1;

/// The place, from 1, at which a query finds the first image that it should; `None` when it can't.
pub(super) type Rank = Option<usize>;

/// A figure of quality: the mean of a number between 0 and 1 that each query gets for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    #[serde(rename = "recall_at_1")]
    RecallAt1,
    #[serde(rename = "recall_at_5")]
    RecallAt5,
    #[serde(rename = "recall_at_10")]
    RecallAt10,
    /// Mean reciprocal rank.
    Mrr,
}

impl Figure {
    pub(super) const ALL: [Self; 4] = [Self::RecallAt1, Self::RecallAt5, Self::RecallAt10, Self::Mrr];

    pub(super) fn of(self, ranks: &[Rank]) -> f64 {
        mean(&self.of_each(ranks))
    }

    fn of_each(self, ranks: &[Rank]) -> Vec<f64> {
        ranks.iter().map(|&rank| rank.map_or(0.0, |rank| self.of_rank(rank))).collect()
    }

    fn of_rank(self, rank: usize) -> f64 {
        let within = |places| f64::from(u8::from(rank <= places));
        match self {
            Self::RecallAt1 => within(1),
            Self::RecallAt5 => within(5),
            Self::RecallAt10 => within(10),
            Self::Mrr => 1.0 / rank as f64,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RecallAt1 => "recall@1",
            Self::RecallAt5 => "recall@5",
            Self::RecallAt10 => "recall@10",
            Self::Mrr => "MRR",
        })
    }
}

/// By how much a figure of one model is above that of another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Difference {
    #[serde(rename = "difference")]
    pub(super) mean: f64,
    /// Ends of the 95 % interval.
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Difference {
    /// `b` less `a`, which are of the same queries in the same order.
    pub(super) fn between(figure: Figure, a: &[Rank], b: &[Rank]) -> Self {
        Self::resampled(figure, a, b, RESAMPLES, SEED)
    }

    fn resampled(figure: Figure, a: &[Rank], b: &[Rank], resamples: usize, seed: u64) -> Self {
        let of_both = figure.of_each(a).into_iter().zip(figure.of_each(b));
        let differences: Vec<f64> = of_both.map(|(of_a, of_b)| of_b - of_a).collect();
        let (low, high) = interval(&differences, resamples, seed);
        Self { mean: mean(&differences), low, high }
    }
}

/// The 95 % interval of the mean of what one pair each contributes, by the percentile bootstrap: pairs are drawn with
/// replacement, and of the means of all draws the middle 95 % remain. Below some twenty pairs it is too narrow.
/// Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
fn interval(differences: &[f64], resamples: usize, seed: u64) -> (f64, f64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut draw = || differences[random.random_range(0..differences.len())];
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| (0..differences.len()).map(|_| draw()).sum::<f64>() / differences.len() as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let outside = resamples / 40;
    (means[outside - 1], means[resamples - outside - 1])
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Of an even count, the higher one in the middle.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these figures are exact")]

    use super::*;

    #[test]
    fn figures_are_those_of_the_textbook() {
        let ranks = [Some(1), Some(2), Some(5), Some(6), Some(10), Some(11), None, Some(1)];
        assert_eq!(
            Figure::ALL.map(|figure| figure.of(&ranks[..7])),
            [
                1.0 / 7.0,
                3.0 / 7.0,
                5.0 / 7.0,
                (1.0 + 1.0 / 2.0 + 1.0 / 5.0 + 1.0 / 6.0 + 1.0 / 10.0 + 1.0 / 11.0) / 7.0
            ]
        );
        assert_eq!(Figure::RecallAt1.of(&ranks), 0.25);
    }

    #[test]
    fn the_middle_is_taken_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![3.0]), 3.0);
    }

    #[test]
    fn equal_models_differ_by_nothing() {
        let ranks = [Some(1), Some(3), None];
        let difference = Difference::between(Figure::Mrr, &ranks, &ranks);
        assert_eq!(difference, Difference { mean: 0.0, low: 0.0, high: 0.0 });
    }

    /// Means of 400 draws of 0 and 1 have a standard error of 0.025, and the middle 95 % of a normal curve are 1.96 of it.
    #[test]
    fn the_interval_of_many_pairs_is_that_of_the_normal_curve() {
        let found_by_b: Vec<Rank> = (0..400).map(|query| (query % 2 == 0).then_some(1)).collect();
        let found_by_a = vec![None; 400];
        let difference = Difference::between(Figure::RecallAt1, &found_by_a, &found_by_b);
        assert_eq!(difference.mean, 0.5);
        for (end, expected) in [(difference.low, 0.5 - 0.049), (difference.high, 0.5 + 0.049)] {
            assert!((end - expected).abs() <= 0.005, "{end} is not {expected}");
        }
    }

    /// Two models whose ranks depend on each other, as those of real ones do, since some queries are hard for both.
    fn simulated(random: &mut SmallRng, queries: usize) -> (Vec<Rank>, Vec<Rank>) {
        (0..queries)
            .map(|_| {
                let (of_a, of_b) = OUTCOMES[random.random_range(0..OUTCOMES.len())];
                (Some(of_a), Some(of_b))
            })
            .unzip()
    }

    /// Ranks of a query by both models, each pair as likely as the others.
    const OUTCOMES: [(usize, usize); 10] =
        [(1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (3, 1), (4, 7), (8, 3), (20, 9), (40, 40)];

    /// Of 1,000 intervals of 95 %, some 950 hold the truth: a standard error is 7, and with 80 queries the method is off by some
    /// 10. One of 90 % or 99 % fails, and so does one that doesn't pair the queries.
    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        let (a, b): (Vec<Rank>, Vec<Rank>) = OUTCOMES.iter().map(|(of_a, of_b)| (Some(*of_a), Some(*of_b))).unzip();
        for figure in Figure::ALL {
            let truth = Difference::between(figure, &a, &b).mean;
            let mut random = SmallRng::seed_from_u64(7);
            let covers = (0..1000).filter(|&seed| {
                let (a, b) = simulated(&mut random, 80);
                let Difference { low, high, .. } = Difference::resampled(figure, &a, &b, 1000, seed);
                (low..=high).contains(&truth)
            });
            let covers = covers.count();
            assert!((920..=980).contains(&covers), "{figure:?}: {covers} of 1000");
        }
    }
}
