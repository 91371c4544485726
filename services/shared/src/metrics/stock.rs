//! What is in the stores, as it was seen last, and what keeps them in line. Every process that looks sees the same, so queries
//! take the highest of them and not the sum.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Unit,
};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    label::{NoLabels, closed_label},
};
use crate::{ModelFingerprint, TaskStatus};

closed_label! {
    pub JobState {
        Waiting = "waiting",
        /// A worker has it.
        InFlight = "in_flight",
    }
}

closed_label! {
    /// What a sweep did with an image that differs between the stores.
    pub SweepAction {
        /// It has a job again.
        Enqueued = "enqueued",
        /// The index was changed.
        Mended = "mended",
        /// Only a person can mend it; `imagesearch check` lists it.
        Unmended = "unmended",
        /// There was no room in the queue; the next sweep goes on.
        Left = "left",
    }
}

closed_label! {
    pub SweepEnd { Ok = "ok", Failed = "failed" }
}

closed_label! {
    pub ModelChangeState {
        /// The new model has them.
        Indexed = "indexed",
        /// They are still to come.
        Lacking = "lacking",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelChangeLabels {
    state: ModelChangeState,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct JobStateLabels {
    pub state: JobState,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TaskLabels {
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Status(TaskStatus);

impl Status {
    const VALUES: [&'static str; TaskStatus::ALL.len()] = {
        let mut values = [""; TaskStatus::ALL.len()];
        let mut index = 0;
        while index < values.len() {
            values[index] = TaskStatus::ALL[index].as_str();
            index += 1;
        }
        values
    };
}

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabels {
    pub fingerprint: String,
    pub dimension: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SweepActionLabels {
    pub action: SweepAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SweepEndLabels {
    pub outcome: SweepEnd,
}

type Seconds = Gauge<f64, AtomicU64>;

pub(super) static JOBS: Metric<Family<JobStateLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_queue_jobs",
        kind: Kind::Gauge,
        unit: None,
        labels: &[Label { name: "state", values: Values::Closed(JobState::VALUES) }],
        help: "Jobs in the queue; absent while it can't be asked",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static OLDEST: Metric<Family<NoLabels, Seconds>> = Metric::new(
    Definition {
        name: "imagesearch_queue_oldest_job_age",
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        labels: &[],
        help: "Age of the oldest job that waits, 0 when none does; absent while the queue can't be asked",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static TASKS: Metric<Family<TaskLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_queue_tasks",
        kind: Kind::Gauge,
        unit: None,
        labels: &[Label { name: "status", values: Values::Closed(&Status::VALUES) }],
        help: "Tasks that are kept, by status; failed are the dead letters; absent while the queue can't be asked",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static VECTORS: Metric<Family<NoLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_index_vectors",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Images that can be found; absent while the index can't be asked",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static MODEL: Metric<Family<ModelLabels, Gauge>> = Metric::new(
    Definition {
        // A gauge that is always 1: the library's own infos can't be told after the start.
        name: "imagesearch_model_info",
        kind: Kind::Gauge,
        unit: None,
        labels: &[
            Label { name: "fingerprint", values: Values::Bounded("the model's fingerprint, one a process") },
            Label { name: "dimension", values: Values::Bounded("the length of its vectors") },
        ],
        help: "The model that a process works with, always 1",
        exposed_by: &[Exposer::Ingestapi, Exposer::Ingestworker, Exposer::Searchapi],
    },
    Family::default,
);

pub(super) static MODEL_CHANGE: Metric<Family<ModelChangeLabels, Gauge>> = Metric::new(
    Definition {
        name: "imagesearch_model_change_images",
        kind: Kind::Gauge,
        unit: None,
        labels: &[Label { name: "state", values: Values::Closed(ModelChangeState::VALUES) }],
        help: "Images of a change of the model that is under way; 0 when none is",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static SWEEPS: Metric<Family<SweepEndLabels, Counter>> = Metric::new(
    Definition {
        name: "imagesearch_sweeps",
        kind: Kind::Counter,
        unit: None,
        labels: &[Label { name: "outcome", values: Values::Closed(SweepEnd::VALUES) }],
        help: "Sweeps, which compare what is stored with index and queue",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static SWEPT: Metric<Family<SweepActionLabels, Counter>> = Metric::new(
    Definition {
        name: "imagesearch_sweep_images",
        kind: Kind::Counter,
        unit: None,
        labels: &[Label { name: "action", values: Values::Closed(SweepAction::VALUES) }],
        help: "Images that differed between the stores",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

pub(super) static LAST_SWEEP: Metric<Family<NoLabels, Seconds>> = Metric::new(
    Definition {
        name: "imagesearch_sweep_last_success_timestamp",
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        labels: &[],
        help: "When the last whole sweep ended, since the Unix epoch",
        exposed_by: &[Exposer::Ingestapi],
    },
    Family::default,
);

/// What was seen of the queue.
pub struct Queue {
    pub waiting: u64,
    pub in_flight: u64,
    pub oldest: Duration,
    pub tasks: Vec<(TaskStatus, u64)>,
}

/// Tells what the queue holds; `None` when it did not say, and then nothing old is shown as if it were true.
pub fn set_queue(queue: Option<&Queue>) {
    let Some(queue) = queue else {
        JOBS.clear();
        OLDEST.clear();
        TASKS.clear();
        return;
    };
    for (state, jobs) in [(JobState::Waiting, queue.waiting), (JobState::InFlight, queue.in_flight)] {
        JOBS.get_or_create(&JobStateLabels { state }).set(jobs as i64);
    }
    OLDEST.get_or_create(&NoLabels {}).set(queue.oldest.as_secs_f64());
    for (status, tasks) in &queue.tasks {
        TASKS.get_or_create(&TaskLabels { status: Status(*status) }).set(*tasks as i64);
    }
}

/// Tells how many images the index holds; `None` when it did not say.
pub fn set_vectors(vectors: Option<u64>) {
    match vectors {
        Some(vectors) => drop(VECTORS.get_or_create(&NoLabels {}).set(vectors as i64)),
        None => VECTORS.clear(),
    }
}

/// Tells which model the process works with.
pub fn set_model(fingerprint: &ModelFingerprint, dimension: usize) {
    let labels = ModelLabels { fingerprint: fingerprint.to_string(), dimension: dimension as u64 };
    MODEL.clear();
    MODEL.get_or_create(&labels).set(1);
}

/// Tells how many images a new model has indexed, of how many; `None` when the model isn't being changed.
pub fn set_model_change(images: Option<(u64, u64)>) {
    let (indexed, images) = images.unwrap_or_default();
    let lacking = images.saturating_sub(indexed);
    for (state, images) in [(ModelChangeState::Indexed, indexed), (ModelChangeState::Lacking, lacking)] {
        MODEL_CHANGE.get_or_create(&ModelChangeLabels { state }).set(images as i64);
    }
}

/// Tells that a sweep came to its end, and what it found.
pub fn swept(images: [(SweepAction, u64); 4]) {
    SWEEPS.get_or_create(&SweepEndLabels { outcome: SweepEnd::Ok }).inc();
    drop(SWEEPS.get_or_create(&SweepEndLabels { outcome: SweepEnd::Failed }));
    for (action, images) in images {
        SWEPT.get_or_create(&SweepActionLabels { action }).inc_by(images);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LAST_SWEEP.get_or_create(&NoLabels {}).set(now.as_secs_f64());
}

/// Tells that a sweep broke off.
pub fn sweep_failed() {
    SWEEPS.get_or_create(&SweepEndLabels { outcome: SweepEnd::Failed }).inc();
}
