//! Scales the workers of each stack by what waits in its queue. The reconciler says which stacks there are (`set`), and reads
//! what is to be said of them (`status`); in between, one loop a stack looks every two seconds, on the leader alone.

mod decide;
mod fill;
mod lag;
mod metrics;
mod run;
#[cfg(test)]
mod simulation;
mod status;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, stream};
use kube::{Client, runtime::reflector::ObjectRef};
use shared::telemetry::Metrics;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::metrics::definitions as metric_definitions;
pub use self::{
    fill::{Beside, Known, Progress},
    lag::{Lag, LagError, LagReader, Login, Nats},
    status::{Backlog, Scaling},
};
use self::{metrics::AutoscalerMetrics, run::Run, status::Shown};
use crate::crd::{AutoscalingMode, ImageSearchStack};

/// Who writes the number of workers, in a Deployment's managed fields.
pub const FIELD_MANAGER: &str = "imagesearch-autoscaler";

pub type StackRef = ObjectRef<ImageSearchStack>;

/// How many workers there may be, and how quickly that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub mode: AutoscalingMode,
    pub min: i32,
    pub max: i32,
    /// Jobs, waiting or in flight, for each worker.
    pub target_lag_per_replica: i32,
    pub max_scale_up_step: i32,
    /// How long fewer must have been enough before there are fewer.
    pub scale_down_delay: Duration,
}

/// Whose workers are scaled, by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub deployment: String,
    pub settings: Settings,
    pub nats: Nats,
    /// The stream of jobs: `shared::config::Jetstream::jobs_stream`.
    pub stream: String,
    /// A second model, whose jobs are no load of these workers.
    pub beside: Option<Beside>,
    /// A sentence that says which store is not ready. Retries then only look like load, so nothing is scaled.
    pub hold: Option<String>,
}

/// Why nothing is scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// One word, for a condition.
    pub reason: &'static str,
    /// A sentence, for people.
    pub message: String,
}

impl Hold {
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// All stacks' autoscalers. Cheap to clone.
#[derive(Clone)]
pub struct Autoscaler {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    leading: watch::Receiver<bool>,
    metrics: AutoscalerMetrics,
    stacks: Mutex<HashMap<StackRef, Stack>>,
    /// Stacks with a status that nobody has been told of.
    changed: Mutex<HashSet<StackRef>>,
    told: Notify,
}

struct Stack {
    target: watch::Sender<Target>,
    shown: Shown,
    _loop: AbortOnDropHandle<()>,
}

impl Autoscaler {
    pub fn new(client: Client, leading: watch::Receiver<bool>, metrics: &Metrics) -> Self {
        let metrics = AutoscalerMetrics::register(metrics);
        Self {
            inner: Arc::new(Inner {
                client,
                leading,
                metrics,
                stacks: Mutex::default(),
                changed: Mutex::default(),
                told: Notify::new(),
            }),
        }
    }

    /// Begins with a stack, goes on with another target, or ends and forgets everything of it. The same target changes
    /// nothing.
    pub fn set(&self, stack: &StackRef, target: Option<Target>) {
        let mut stacks = self.inner.stacks();
        let Some(target) = target else {
            stacks.remove(stack);
            self.inner.changed().remove(stack);
            self.inner.metrics.remove(stack);
            return;
        };
        match stacks.entry(stack.clone()) {
            Entry::Occupied(entry) => {
                entry.get().target.send_if_modified(|existing| {
                    let differs = *existing != target;
                    *existing = target;
                    differs
                });
            }
            Entry::Vacant(entry) => {
                let (target, receiver) = watch::channel(target);
                let run = tokio::spawn(Run::new(self.inner.clone(), stack.clone(), receiver).run());
                entry.insert(Stack { target, shown: Shown::default(), _loop: AbortOnDropHandle::new(run) });
            }
        }
    }

    /// What is to be said of a stack; none before the first look.
    pub fn status(&self, stack: &StackRef) -> Option<Scaling> {
        self.inner.stacks().get(stack)?.shown.scaling().cloned()
    }

    /// Each stack whose `status` has become another. For one reader.
    pub fn changes(&self) -> impl Stream<Item = StackRef> + Send + use<> {
        stream::unfold(self.inner.clone(), |inner| async move {
            loop {
                if let Some(stack) = inner.take_changed() {
                    return Some((stack, inner));
                }
                inner.told.notified().await;
            }
        })
    }
}

impl Inner {
    fn stacks(&self) -> MutexGuard<'_, HashMap<StackRef, Stack>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> MutexGuard<'_, HashSet<StackRef>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_changed(&self) -> Option<StackRef> {
        let mut changed = self.changed();
        let stack = changed.iter().next().cloned()?;
        changed.take(&stack)
    }

    /// What a loop has seen. Nothing is kept of a stack that is gone: its loop may be in the middle of this.
    fn report(&self, stack: &StackRef, lag: Result<&Lag, &LagError>, scaling: Scaling) {
        let mut stacks = self.stacks();
        let Some(found) = stacks.get_mut(stack) else { return };
        self.metrics.read(stack, lag.ok(), scaling.active.is_err());
        self.metrics.desired(stack, scaling.desired);
        if found.shown.update(scaling, Instant::now()) {
            self.changed().insert(stack.clone());
            self.told.notify_one();
        }
    }

    /// Another process leads: what this one has seen grows old.
    fn forget(&self, stack: &StackRef) {
        let mut stacks = self.stacks();
        self.metrics.remove(stack);
        if let Some(found) = stacks.get_mut(stack) {
            found.shown = Shown::default();
        }
    }
}
