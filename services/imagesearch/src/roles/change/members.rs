//! The models of a process as such: how one joins, works, and goes.

use backends::{error::StoreError, model_registry::ModelRegistry};
use embedding::{Embedder, source};
use ingestworker::Worker;
use shared::{
    metrics,
    model::{ChangePhase, KnownModel, ModelChoice, ModelStatus, PreviousModel},
};
use tokio::sync::watch;

use super::{
    Models,
    begin::{known, with_model},
    fault::ChangeFault,
    progress, room,
    running::Running,
};
use crate::roles::model::{self, Library, Trial};

impl Models {
    /// Has the wanted model loaded beside the current one; false when it is the current one under another name.
    pub(super) async fn load_next(&mut self) -> Result<bool, ChangeFault> {
        let wanted = self.registry.wanted.clone();
        if self.next.as_ref().is_some_and(|next| next.known.choice == wanted) {
            return Ok(true);
        }
        if self.registry.previous.as_ref().is_some_and(|previous| previous.model.choice == wanted) {
            self.restore_previous().await?;
        }
        if self.previous.as_ref().is_some_and(|previous| previous.known.choice == wanted) {
            return self.take_previous_up().await.map(|()| true);
        }
        if self.registry.next.as_ref().is_some_and(|next| next.choice != wanted) {
            self.abandon_next().await?;
        }
        let embedder = self.load(&wanted).await?;
        let known = known(wanted, &embedder);
        if known.fingerprint == self.current.known.fingerprint {
            self.current.known = known.clone();
            self.write(ModelRegistry { current: known, next: None, ..self.registry.clone() }).await?;
            self.tell(|status| status.change = None);
            return Ok(false);
        }
        let images = self.current.collection.count(None).await?;
        room::check_disk(&self.config, images, known.dimension)?;
        // Two are enough in memory and on the disk.
        self.let_previous_go().await?;
        // Before there is anything that would have to be found again.
        self.write(ModelRegistry { next: Some(known.clone()), ..self.registry.clone() }).await?;
        self.next = Some(self.open(known, embedder).await?);
        Ok(true)
    }

    /// The previous model becomes the next one, with its collection as it is.
    pub(super) async fn take_previous_up(&mut self) -> Result<(), ChangeFault> {
        self.abandon_next().await?;
        let next = self.previous.as_ref().map(|previous| previous.known.clone());
        self.write(ModelRegistry { next, previous: None, ..self.registry.clone() }).await?;
        self.next = self.previous.take();
        Ok(())
    }

    /// Loads and tries a model, if it fits beside the current one.
    pub(super) async fn load(&self, choice: &ModelChoice) -> Result<Embedder, ChangeFault> {
        let config = with_model(&self.config, choice);
        let library = Library::without_store(&config, model::log_progress()).await?;
        let bundle = library.fetch().await?;
        room::check_memory(bundle.size_bytes().map_err(|source| library.unusable(source))?)?;
        usable(library.load(bundle).await?).await
    }

    /// From here on uploads, changes and deletes go to the model's collection too.
    pub(super) async fn open(&self, known: KnownModel, embedder: Embedder) -> Result<Running, ChangeFault> {
        let opened = self.stores.open_collection(&known.fingerprint, known.dimension).await?;
        self.projection.active().add(&opened.collection);
        Ok(Running::new(known, embedder, opened.collection))
    }

    /// After a restart: loads the previous model again.
    pub(super) async fn restore_previous(&mut self) -> Result<(), ChangeFault> {
        let Some(PreviousModel { model, .. }) = &self.registry.previous else { return Ok(()) };
        if self.previous.is_none() {
            let embedder = self.load(&model.choice).await?;
            self.previous = Some(self.open(known(model.choice.clone(), &embedder), embedder).await?);
        }
        Ok(())
    }

    /// Ends a change that is no longer wanted.
    pub(super) async fn abandon_next(&mut self) -> Result<(), ChangeFault> {
        let left_behind = self.registry.next.clone();
        match (self.next.take(), left_behind) {
            (Some(next), _) => self.abandon(next).await?,
            (None, Some(known)) => self.remove(&known).await?,
            (None, None) => return Ok(()),
        }
        metrics::stock::set_model_change(None);
        Ok(self.write(ModelRegistry { next: None, ..self.registry.clone() }).await?)
    }

    /// Ends the time in which going back takes a moment.
    pub(super) async fn let_previous_go(&mut self) -> Result<(), ChangeFault> {
        let left_behind = self.registry.previous.clone();
        match (self.previous.take(), left_behind) {
            (Some(previous), _) => self.abandon(previous).await?,
            (None, Some(previous)) => self.remove(&previous.model).await?,
            (None, None) => return Ok(()),
        }
        tracing::info!("the model of before is let go");
        Ok(self.write(ModelRegistry { previous: None, ..self.registry.clone() }).await?)
    }

    /// Removes a model's collection; what is left of its jobs (URLs that nobody has fetched yet) goes to the current one.
    async fn abandon(&self, mut running: Running) -> Result<(), ChangeFault> {
        self.projection.active().remove(&running.known.fingerprint);
        running.stop().await;
        let known = running.known.clone();
        drop(running);
        self.stores.queue.adopt(&self.current.known.fingerprint).await.map_err(StoreError::from)?;
        self.remove(&known).await
    }

    async fn remove(&self, known: &KnownModel) -> Result<(), ChangeFault> {
        self.stores.index.remove(&known.fingerprint).await?;
        Ok(())
    }

    /// Leaves everything to the current model.
    pub(super) async fn give_up(&mut self) {
        if let Err(error) = self.abandon_next().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was built for the new model is not removed yet"
            );
        }
        if let Err(error) = self.start_workers() {
            tracing::error!(error = &error as &dyn std::error::Error, "no worker");
        }
    }

    /// The current model's worker goes first; the others take what it leaves of the machine.
    pub(super) fn start_workers(&mut self) -> Result<(), ChangeFault> {
        let Self { config, stores, projection, broken, current, next, previous, .. } = self;
        let worker = |running: &Running| {
            let settings = ingestworker::Settings::from(&*config);
            let (collection, embedder) = (running.collection.clone(), running.embedder.clone());
            Worker::new(stores.clone(), collection, projection.clone(), embedder, settings)
                .map_err(|error| ChangeFault::Worker(error.into()))
        };
        if !current.is_working() {
            current.start(worker(current)?, broken.clone());
        }
        for running in [next, previous].into_iter().flatten().filter(|running| !running.is_working()) {
            running.start(worker(running)?.after(current.load()), broken.clone());
        }
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        let Self { current, next, previous, .. } = self;
        let running = std::iter::once(current).chain(next).chain(previous);
        futures::future::join_all(running.map(Running::stop)).await;
    }

    pub(super) async fn write(&mut self, registry: ModelRegistry) -> Result<(), StoreError> {
        registry.write(self.stores.objects.as_ref()).await?;
        self.registry = registry;
        self.tell(|status| {
            status.current = self.registry.current.clone();
            status.previous.clone_from(&self.registry.previous);
        });
        Ok(())
    }

    pub(super) fn show(&self, phase: ChangePhase, reason: Option<String>) {
        let wanted = &self.registry.wanted;
        self.tell(|status| progress::set_phase(status, wanted, phase, reason));
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut ModelStatus)) {
        tell(&self.status, change);
    }
}

/// A model that was loaded, if it tells one thing from another.
pub(super) async fn usable(embedder: Embedder) -> Result<Embedder, ChangeFault> {
    match Trial::of(&embedder).await {
        Ok(trial) if trial.is_constant() => Err(ChangeFault::Constant),
        Ok(_) => Ok(embedder),
        Err(error) => Err(ChangeFault::Trial(error)),
    }
}

/// Tells everybody who asks.
pub(super) fn tell(status: &watch::Sender<ModelStatus>, change: impl FnOnce(&mut ModelStatus)) {
    status.send_modify(|status| {
        change(status);
        hide_credentials(status);
    });
}

pub(in crate::roles) fn hide_credentials(status: &mut ModelStatus) {
    let ModelStatus { current, change, previous } = status;
    let models = std::iter::once(current).chain(previous.as_mut().map(|previous| &mut previous.model));
    let choices = models.map(|model| &mut model.choice).chain(change.as_mut().map(|change| &mut change.to));
    choices.for_each(|choice| choice.source = source::shown(&choice.source));
}
