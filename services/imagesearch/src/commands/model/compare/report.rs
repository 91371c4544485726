//! What the measurements of two models say: a table for people, a document for programs, and a verdict in words.

use serde::Serialize;

use super::{
    measure::Measured,
    queries::Plan,
    statistics::{Difference, Figure},
};
use crate::output;

/// With fewer, the intervals are narrower than they should be.
const FEWEST_QUERIES: usize = 20;

#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    queries: usize,
    /// Among which they search.
    images: usize,
    a: Model<'a>,
    b: Model<'a>,
    quality: Vec<Compared>,
    verdict: String,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    source: &'a str,
    #[serde(flatten)]
    measured: &'a Measured,
}

/// A figure of both.
#[derive(Debug, Serialize)]
struct Compared {
    figure: Figure,
    a: f64,
    b: f64,
    #[serde(flatten)]
    difference: Difference,
}

impl<'a> Report<'a> {
    /// Of two models, each with its source.
    pub(super) fn of(plan: &Plan, a: (&'a str, &'a Measured), b: (&'a str, &'a Measured)) -> Self {
        let [a, b] = [a, b].map(|(source, measured)| Model { source, measured });
        let (of_a, of_b) = (&a.measured.ranks, &b.measured.ranks);
        let quality = Figure::ALL.map(|figure| Compared {
            figure,
            a: figure.of(of_a),
            b: figure.of(of_b),
            difference: Difference::between(figure, of_a, of_b),
        });
        let verdict = verdict(plan.queries.len(), &quality[Figure::ALL.len() - 1].difference);
        Self { queries: plan.queries.len(), images: plan.pictures.len(), a, b, quality: quality.into(), verdict }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let [a, b] = [&self.a, &self.b]
            .map(|Model { source, measured }| format!("{source} ({}, {})", measured.name, measured.fingerprint));
        let mut lines = vec![
            format!("A  {a}"),
            format!("B  {b}"),
            format!("{} queries, {} images to find theirs among", self.queries, self.images),
            String::new(),
        ];
        let rows: Vec<_> = self.quality.iter().map(Compared::row).chain(self.costs()).collect();
        lines.extend(output::table(&["", "A", "B", "B - A", "95 % INTERVAL"], &rows));
        lines.extend([String::new(), self.verdict.clone()]);
        lines
    }

    fn costs(&self) -> Vec<Vec<String>> {
        let row = |name: &str, show: &dyn Fn(&Measured) -> String| {
            vec![name.into(), show(self.a.measured), show(self.b.measured), String::new(), String::new()]
        };
        vec![
            row("images/s", &|measured| format!("{:.1}", measured.images_per_s)),
            row("query ms", &|measured| format!("{:.1}", measured.query_ms)),
            row("memory", &|measured| output::human_bytes(measured.peak_memory_bytes)),
            row("size", &|measured| output::human_bytes(measured.size_bytes)),
            row("dimension", &|measured| measured.dimension.to_string()),
            row("no vector", &|measured| measured.images_without_vector.to_string()),
        ]
    }
}

impl Compared {
    fn row(&self) -> Vec<String> {
        let Self { figure, a, b, difference: Difference { mean, low, high } } = self;
        let interval = format!("{low:+.3} to {high:+.3}");
        vec![figure.to_string(), format!("{a:.3}"), format!("{b:.3}"), format!("{mean:+.3}"), interval]
    }
}

/// By the mean reciprocal rank, to which every place counts.
fn verdict(queries: usize, mrr: &Difference) -> String {
    let Difference { mean, low, high } = mrr;
    let numbers = format!("its MRR is {:.3} higher, 95 % interval", mean.abs());
    if queries < FEWEST_QUERIES {
        format!("{queries} queries are too few to tell which one finds better; give {FEWEST_QUERIES} or more")
    } else if *low > 0.0 {
        format!("B finds better: {numbers} {low:.3} to {high:.3}")
    } else if *high < 0.0 {
        format!("A finds better: {numbers} {:.3} to {:.3}", -high, -low)
    } else {
        format!(
            "no difference in what they find can be told with {queries} queries: the interval of MRR holds 0; more queries \
             make it narrower"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_follows_the_interval() {
        let told = |queries, mean, low, high| verdict(queries, &Difference { mean, low, high });
        assert_eq!(told(50, 0.1, 0.02, 0.18), "B finds better: its MRR is 0.100 higher, 95 % interval 0.020 to 0.180");
        assert_eq!(
            told(50, -0.1, -0.18, -0.02),
            "A finds better: its MRR is 0.100 higher, 95 % interval 0.020 to 0.180"
        );
        assert!(told(50, 0.1, -0.02, 0.22).starts_with("no difference in what they find can be told with 50 queries"));
        assert!(told(19, 0.1, 0.02, 0.18).starts_with("19 queries are too few"));
    }
}
