//! From an upload to a vector.

use std::time::{Duration, Instant};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Unit,
};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    histogram::{Durations, DurationsBy, WORK_BUCKETS_S, observe},
    label::{NoLabels, closed_label},
};
use crate::FailureCode;

closed_label! {
    /// How an image came.
    pub Source { Upload = "upload", Url = "url" }
}

closed_label! {
    /// What became of it at the door.
    pub Reception {
        Queued = "queued",
        /// The same bytes are there, or on their way.
        Duplicate = "duplicate",
        /// Not an image, too large, or nothing.
        Refused = "refused",
        /// A store was away or full.
        Failed = "failed",
    }
}

closed_label! {
    /// How a worker was done with a job.
    pub JobEnd {
        Indexed = "indexed",
        Duplicate = "duplicate",
        Superseded = "superseded",
        /// A dead letter: its reason says why.
        Failed = "failed",
        /// To be tried again: its reason says why.
        Retried = "retried",
        /// A store is away, or the worker stops: the attempt doesn't count.
        HandedBack = "handed_back",
    }
}

closed_label! {
    pub Stage {
        /// From a job to the original's bytes, over the network if it names a URL.
        Read = "read",
        /// From bytes to pixels, the wait for a decoder included.
        Decode = "decode",
        /// From pixels to vectors, of a whole batch.
        Embed = "embed",
        /// Into the index, of a whole batch.
        Index = "index",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReceptionLabels {
    pub source: Source,
    pub outcome: Reception,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct JobLabels {
    pub outcome: JobEnd,
    pub reason: Reason,
}

/// Why a job was not done; nothing else ends with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(Option<FailureCode>);

impl Reason {
    const NONE: &'static str = "none";
    const VALUES: [&'static str; FailureCode::ALL.len() + 1] = {
        let mut values = [Self::NONE; FailureCode::ALL.len() + 1];
        let mut index = 0;
        while index < FailureCode::ALL.len() {
            values[index + 1] = FailureCode::ALL[index].as_str();
            index += 1;
        }
        values
    };
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.map_or(Self::NONE, FailureCode::as_str).encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabels {
    pub stage: Stage,
}

pub(super) static RECEIVED: Metric<Family<ReceptionLabels, Counter>> = Metric::new(
    Definition {
        name: "imagesearch_ingest_received_images",
        kind: Kind::Counter,
        unit: None,
        labels: &[
            Label { name: "source", values: Values::Closed(Source::VALUES) },
            Label { name: "outcome", values: Values::Closed(Reception::VALUES) },
        ],
        help: "Images that were sent or named",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static JOBS: Metric<Family<JobLabels, Counter>> = Metric::new(
    Definition {
        name: "imagesearch_ingest_jobs",
        kind: Kind::Counter,
        unit: None,
        labels: &[
            Label { name: "outcome", values: Values::Closed(JobEnd::VALUES) },
            Label { name: "reason", values: Values::Closed(&Reason::VALUES) },
        ],
        help: "Images that a worker was done with",
        exposed_by: &[Exposer::Ingestworker],
    },
    // All ends are there from the start, so that a rate sees the first one.
    || {
        let jobs = Family::<JobLabels, Counter>::default();
        let failed = FailureCode::ALL.map(|code| (JobEnd::Failed, Some(code)));
        let without_reason = [JobEnd::Indexed, JobEnd::Duplicate, JobEnd::Superseded, JobEnd::HandedBack];
        for (outcome, reason) in failed.into_iter().chain(without_reason.map(|end| (end, None))) {
            drop(jobs.get_or_create(&JobLabels { outcome, reason: Reason(reason) }));
        }
        jobs
    },
);

pub(super) static STAGES: Metric<DurationsBy<StageLabels>> = Metric::new(
    Definition {
        name: "imagesearch_ingest_stage_duration",
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        labels: &[Label { name: "stage", values: Values::Closed(Stage::VALUES) }],
        help: "Time in a stage of a worker; read and decode of one image, embed and index of a batch",
        exposed_by: &[Exposer::Ingestworker],
    },
    || DurationsBy::new_with_constructor(|| Durations::new(WORK_BUCKETS_S.into_iter())),
);

pub(super) static TIME_TO_INDEX: Metric<DurationsBy<NoLabels>> = Metric::new(
    Definition {
        name: "imagesearch_ingest_time_to_index",
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        labels: &[],
        help: "Time from accepting an image to finding it",
        exposed_by: &[Exposer::Ingestworker],
    },
    || {
        DurationsBy::new_with_constructor(|| {
            Durations::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0].into_iter())
        })
    },
);

type Sizes = Family<NoLabels, Histogram, fn() -> Histogram>;

pub(super) static BATCHES: Metric<Sizes> = Metric::new(
    Definition {
        name: "imagesearch_ingest_batch_images",
        kind: Kind::Histogram,
        unit: None,
        labels: &[],
        help: "Images in a batch that is embedded",
        exposed_by: &[Exposer::Ingestworker],
    },
    || Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 7))),
);

/// Counts images that were sent or named.
pub fn received(source: Source, outcome: Reception, images: u64) {
    RECEIVED.get_or_create(&ReceptionLabels { source, outcome }).inc_by(images);
}

/// Counts the end of a job. A reason is for those that failed or are tried again.
pub fn job_ended(outcome: JobEnd, reason: Option<FailureCode>) {
    JOBS.get_or_create(&JobLabels { outcome, reason: Reason(reason) }).inc();
}

/// Counts an image that is found from now on, `took` after it was accepted.
pub fn indexed_after(took: Duration) {
    observe(&TIME_TO_INDEX.get_or_create(&NoLabels {}), took);
}

/// Measures a stage from now on.
pub fn begin(stage: Stage) -> StageTimer {
    StageTimer { stage, started: Instant::now() }
}

/// Dropped without an end, it counts nothing: the stage was not passed.
#[must_use]
pub struct StageTimer {
    stage: Stage,
    started: Instant,
}

impl StageTimer {
    pub fn end(self) {
        observe(&STAGES.get_or_create(&StageLabels { stage: self.stage }), self.started.elapsed());
    }
}

pub fn batch(images: usize) {
    BATCHES.get_or_create(&NoLabels {}).observe(images as f64);
}
