//! Histograms of durations, each bucket with the trace of one that fell into it.

use std::time::{Duration, SystemTime};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{exemplar::HistogramWithExemplars, family::Family},
};

use crate::telemetry;

/// From a look into memory to a request that is given up.
pub(super) const CALL_BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0];
/// What is computed.
pub(super) const WORK_BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What an exemplar says: where to look further.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabels {
    /// 32 hexadecimal digits.
    pub trace_id: String,
}

/// Seconds.
pub type Durations = HistogramWithExemplars<TraceLabels>;
pub type DurationsBy<L> = Family<L, Durations, fn() -> Durations>;

/// Counts a duration, with the trace that is under way as its example.
pub fn observe(histogram: &Durations, took: Duration) {
    observe_in(histogram, took, telemetry::recorded_trace_id());
}

fn observe_in(histogram: &Durations, took: Duration, trace_id: Option<String>) {
    let exemplar = trace_id.map(|trace_id| TraceLabels { trace_id });
    let time = exemplar.is_some().then(SystemTime::now);
    histogram.observe(took.as_secs_f64(), exemplar, time);
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::{prometheus_text, text},
        registry::Registry,
    };

    use super::*;

    #[test]
    fn a_bucket_names_the_trace_of_one_that_fell_into_it() {
        let histogram = Durations::new(CALL_BUCKETS_S.into_iter());
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
        observe_in(&histogram, Duration::from_millis(20), Some(trace_id.to_owned()));
        observe_in(&histogram, Duration::from_millis(200), None);
        let mut registry = Registry::default();
        registry.register("took_seconds", "Time", histogram);

        let mut open_metrics = String::new();
        text::encode(&mut open_metrics, &registry).expect("text");
        let exemplars: Vec<_> = open_metrics.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(exemplars.len(), 1, "{open_metrics}");
        assert!(
            exemplars[0]
                .starts_with(&format!("took_seconds_bucket{{le=\"0.025\"}} 1 # {{trace_id=\"{trace_id}\"}} 0.02 "))
        );

        let mut plain = String::new();
        prometheus_text::encode(&mut plain, &registry).expect("text");
        assert!(!plain.contains(trace_id), "the plain format has no exemplars: {plain}");
    }
}
