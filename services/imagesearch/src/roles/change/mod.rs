//! Changing the model of a running process without a failed search.
//!
//! The collection of the wanted model is filled beside the current one, from the stored images; uploads, changes and deletes go
//! to both meanwhile. When it has nearly all, the worker of the current model pauses, so that nothing is said to be indexed that
//! only the current one has; they are compared image by image, and searches move over at once. The old model stays as it is
//! for a while, so going back is the same with nothing left to fill.
//!
//! Everything here may break off at any await, also by the end of the process: `settle` begins with looking how things stand.

mod begin;
mod beside;
mod fault;
mod filling;
mod members;
mod progress;
mod room;
mod running;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use backends::{Stores, model_registry::ModelRegistry, projection::Projection};
use embedding::{Embedder, source};
use ingestapi::model::{Chosen, ModelControl};
use jiff::Timestamp;
use searchapi::Search;
use shared::{
    config::Config,
    metrics,
    model::{ChangePhase, ModelStatus, PreviousModel},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::{
    begin::begin,
    beside::{identify_beside, join_beside, open_beside, watch_beside},
    members::hide_credentials,
};
pub(crate) use self::{
    beside::{fill_beside, remove},
    fault::ChangeFault,
};
use self::{
    filling::{Filling, Seen},
    progress::Progress,
    running::Running,
};
use super::services;

/// How long the worker of the current model is kept waiting at most for the last images to arrive in the other collection.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const COMPARE_EVERY: Duration = Duration::from_millis(50);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// Models asked for that nobody has looked at yet.
const CHOICES: usize = 8;

pub(super) struct Changer {
    models: Models,
    choices: mpsc::Receiver<Chosen>,
    broken: mpsc::Receiver<JoinError>,
}

/// The models of a process: one that is searched, and at most two beside it.
struct Models {
    config: Config,
    stores: Stores,
    projection: Projection,
    search: Arc<ArcSwap<Search>>,
    registry: ModelRegistry,
    current: Running,
    next: Option<Running>,
    previous: Option<Running>,
    status: watch::Sender<ModelStatus>,
    broken: mpsc::Sender<JoinError>,
    retry: Duration,
}

impl Changer {
    /// `embedder` is the model that `registry` calls current, and `projection` keeps its collection in line.
    pub(super) fn new(
        config: &Config,
        stores: &Stores,
        projection: &Projection,
        embedder: &Embedder,
        registry: ModelRegistry,
        search: Arc<ArcSwap<Search>>,
    ) -> (Self, ModelControl) {
        metrics::stock::set_model_change(None);
        let (broken, breaks) = mpsc::channel(1);
        let (chosen, choices) = mpsc::channel(CHOICES);
        let collection = projection.active().searched();
        let current = Running::new(registry.current.clone(), embedder.clone(), collection);
        let mut status =
            ModelStatus { current: registry.current.clone(), change: None, previous: registry.previous.clone() };
        hide_credentials(&mut status);
        let (status, told) = watch::channel(status);
        let models = Models {
            config: config.clone(),
            stores: stores.clone(),
            projection: projection.clone(),
            search,
            registry,
            current,
            next: None,
            previous: None,
            status,
            broken,
            retry: FIRST_RETRY,
        };
        (Self { models, choices, broken: breaks }, ModelControl::new(told, chosen))
    }

    /// Works with the current model, and changes it when another one is wanted, until the process ends.
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { mut models, mut choices, mut broken } = self;
        let outcome = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                // A worker without one of its stages would hold its jobs for ever.
                Some(error) = broken.recv() => break Err(error.into()),
                Some(chosen) = choices.recv() => models.choose(chosen).await,
                () = models.settle() => {}
            }
        };
        models.stop().await;
        outcome
    }
}

impl Models {
    /// Makes a wish durable.
    async fn choose(&mut self, chosen: Chosen) {
        let Chosen { choice, taken } = chosen;
        let registry = ModelRegistry { wanted: choice, ..self.registry.clone() };
        let written = self.write(registry).await;
        if written.is_ok() && self.registry.wanted != self.registry.current.choice {
            self.show(ChangePhase::Loading, None);
        }
        self.retry = FIRST_RETRY;
        // Nobody may wait any more.
        let _ = taken.send(written);
    }

    /// Brings about what is wanted, then waits for the time of the previous model to end.
    async fn settle(&mut self) {
        let Err(fault) = self.try_settle().await else { return };
        let (to, reason) = (source::shown(&self.registry.wanted.source), fault.reason());
        if fault.may_pass() {
            tracing::warn!(reason, to, "the change of the model waits");
            self.show(ChangePhase::Loading, Some(reason));
            sleep(self.retry).await;
            self.retry = (self.retry * 2).min(LONGEST_RETRY);
        } else {
            tracing::error!(reason, to, "the model is not changed");
            self.give_up().await;
            self.show(ChangePhase::Failed, Some(reason));
            // Until another one is asked for, or the same once more.
            std::future::pending::<()>().await;
        }
    }

    async fn try_settle(&mut self) -> Result<(), ChangeFault> {
        self.start_workers()?;
        if self.registry.wanted == self.registry.current.choice {
            self.abandon_next().await?;
            self.tell(|status| status.change = None);
        } else {
            self.change().await?;
            self.retry = FIRST_RETRY;
        }
        self.keep_previous().await
    }

    /// Builds what the wanted model needs, and lets searches use it.
    async fn change(&mut self) -> Result<(), ChangeFault> {
        self.show(ChangePhase::Loading, None);
        if !self.load_next().await? {
            return Ok(());
        }
        self.start_workers()?;
        let Some(mut filling) = self.filling() else { return Ok(()) };
        let mut tell = self.progress();
        while !(filling.is_near(&mut tell).await? && self.is_caught_up(&filling).await?) {
            filling.fill(&mut tell).await?;
        }
        self.switch().await
    }

    fn filling(&self) -> Option<Filling> {
        let stray_after = Duration::from_secs(self.config.ingestapi.stray_after_s);
        let (current, next) = (self.current.collection.clone(), self.next.as_ref()?.collection.clone());
        Some(Filling::new(self.stores.clone(), current, next, stray_after))
    }

    /// Tells everybody who asks how far the change is.
    fn progress(&self) -> impl FnMut(Seen) + use<> {
        let (status, wanted) = (self.status.clone(), self.registry.wanted.clone());
        let mut progress = Progress::new();
        move |seen| {
            let change = progress.told(wanted.clone(), seen);
            metrics::stock::set_model_change(Some((seen.indexed, seen.images)));
            members::tell(&status, |status| status.change = Some(change));
        }
    }

    /// Whether the next collection holds all that the current one does. Then nothing is indexed by the current model's worker,
    /// which pauses: whoever was told that an image can be found finds it in either.
    async fn is_caught_up(&mut self, filling: &Filling) -> Result<bool, ChangeFault> {
        self.show(ChangePhase::Switching, None);
        self.current.stop().await;
        let paused = Instant::now();
        while paused.elapsed() < LONGEST_PAUSE {
            if filling.has_all().await? {
                return Ok(true);
            }
            sleep(COMPARE_EVERY).await;
        }
        self.start_workers()?;
        Ok(false)
    }

    /// Searches use the next model from now on; the one of before stays for a while.
    async fn switch(&mut self) -> Result<(), ChangeFault> {
        let Some(next) = &self.next else { return Ok(()) };
        let Stores { objects, index, .. } = &self.stores;
        // Before it is used, so that it has read the calibration by then.
        let search = Arc::new(services::search(&self.config, &next.embedder, objects, index, &next.collection));
        let known = next.known.clone();
        let kept = i64::try_from(self.config.model.keep_previous_s).unwrap_or(i64::MAX);
        let until = Timestamp::now().saturating_add(jiff::SignedDuration::from_secs(kept)).unwrap_or(Timestamp::MAX);
        let previous = Some(PreviousModel { model: self.current.known.clone(), until });
        self.write(ModelRegistry { current: known, next: None, previous, ..self.registry.clone() }).await?;
        // No await from here on.
        let Some(next) = self.next.take() else { return Ok(()) };
        self.search.store(search);
        self.projection.active().search(&next.known.fingerprint);
        metrics::stock::set_model(&next.known.fingerprint, next.known.dimension);
        metrics::stock::set_model_change(None);
        self.tell(|status| status.change = None);
        let (model, fingerprint) = (source::shown(&next.known.choice.source), &next.known.fingerprint);
        tracing::info!(model, %fingerprint, "searches use the new model");
        self.previous = Some(std::mem::replace(&mut self.current, next));
        self.start_workers()
    }

    /// Keeps the previous model until its time is over; returns never when there is none.
    async fn keep_previous(&mut self) -> Result<(), ChangeFault> {
        let Some(until) = self.registry.previous.as_ref().map(|previous| previous.until) else {
            return std::future::pending().await;
        };
        match self.restore_previous().await {
            Ok(()) => self.start_workers()?,
            Err(fault) if fault.may_pass() => return Err(fault),
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), "the model of before can't be loaded again");
                return self.let_previous_go().await;
            }
        }
        let left = until.duration_since(Timestamp::now());
        if left.is_positive() {
            sleep(left.unsigned_abs()).await;
        }
        self.let_previous_go().await
    }
}
