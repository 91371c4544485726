//! The second model of roles on their own, by which a deployment changes its model: what `model.beside` says. Uploads, changes
//! and deletes go to its collection as well; `fill_beside` brings the stored images into it, after which searches may move.

use std::{sync::Arc, time::Duration};

use backends::{Stores, error::StoreError, index::Collection, stores::OpenCollection};
use shared::{
    ModelFingerprint,
    config::Config,
    metrics,
    model::{ChangePhase, FillProgress, KnownModel, ModelChoice, ModelStatus},
};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    begin::{known, with_model},
    fault::ChangeFault,
    filling::{Filling, Seen},
    members,
    progress::Progress,
};
use crate::roles::model::{self, ModelFault};

/// How often it is told how far a fill is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The second model that the configuration names; none when it is the `own` one under another name.
pub(in crate::roles) async fn identify_beside(
    config: &Config,
    own: &ModelFingerprint,
) -> Result<Option<KnownModel>, ModelFault> {
    let Some(choice) = ModelChoice::beside(&config.model) else { return Ok(None) };
    let (fingerprint, dimension) = model::identify(&with_model(config, &choice)).await?;
    Ok((fingerprint != *own).then_some(KnownModel { choice, fingerprint, dimension }))
}

/// The second model's collection, for the role that keeps it in line with the records.
pub(in crate::roles) async fn open_beside(
    stores: &Stores,
    beside: Option<&KnownModel>,
) -> Result<Option<OpenCollection>, StoreError> {
    match beside {
        Some(beside) => stores.open_collection(&beside.fingerprint, beside.dimension).await.map(Some),
        None => Ok(None),
    }
}

/// The same, for a role beside that one.
pub(in crate::roles) async fn join_beside(
    stores: &Stores,
    beside: Option<&KnownModel>,
) -> Result<Option<Arc<dyn Collection>>, StoreError> {
    match beside {
        Some(beside) => stores.join_collection(&beside.fingerprint, beside.dimension).await.map(Some),
        None => Ok(None),
    }
}

/// Tells how far the second model's collection is, until the process ends.
pub(in crate::roles) async fn watch_beside(
    current: Arc<dyn Collection>,
    beside: Arc<dyn Collection>,
    to: ModelChoice,
    status: watch::Sender<ModelStatus>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        // A store that is away says nothing new; who needs it tells of it.
        let Ok((images, indexed)) = tokio::try_join!(current.count(None), beside.count(None)) else { continue };
        let seen = Seen { indexed, images };
        let mut change = progress.told(to.clone(), seen);
        if seen.lacking() == 0 {
            change.phase = ChangePhase::Switching;
        }
        metrics::stock::set_model_change(Some((indexed, images)));
        members::tell(&status, |status| status.change = Some(change));
    }
}

/// Fills the collection of the configured model with what that of the model beside has, until it has all; `show` hears how
/// far it is, and so does the queue, for whoever runs the processes. It may break off at any moment, and be run again.
pub(crate) async fn fill_beside(
    config: &Config,
    show: impl Fn(&FillProgress),
) -> Result<Option<FillProgress>, ChangeFault> {
    let next = {
        // Only to see that it works: workers have it in memory for their own work.
        let embedder = members::usable(model::load(config).await?).await?;
        known((&config.model).into(), &embedder)
    };
    let Some(current) = identify_beside(config, &next.fingerprint).await? else { return Ok(None) };
    let stores = backends::open(config).await?;
    let stray_after = Duration::from_secs(config.ingestapi.stray_after_s);
    let from = stores.join_collection(&current.fingerprint, current.dimension).await?;
    let to = stores.join_collection(&next.fingerprint, next.dimension).await?;
    let mut filling = Filling::new(stores.clone(), from, to, stray_after);
    let at_begin = FillProgress { model: next.clone(), beside: current, indexed: 0, images: 0, seconds_left: None };
    let (told, latest) = watch::channel(at_begin);
    let mut progress = Progress::new();
    let mut tell = |seen: Seen| {
        let change = progress.told(next.choice.clone(), seen);
        told.send_modify(|told| {
            (told.indexed, told.images, told.seconds_left) = (change.indexed, change.images, change.seconds_left);
            show(told);
        });
    };
    let filling = async {
        while !(filling.is_near(&mut tell).await? && filling.catches_up().await?) {
            filling.fill(&mut tell).await?;
        }
        Ok::<_, ChangeFault>(())
    };
    tokio::select! {
        filled = filling => filled?,
        () = tell_queue(&stores, &latest) => {}
    }
    let filled = latest.borrow().clone();
    stores.queue.tell_fill(&filled).await.map_err(StoreError::from)?;
    Ok(Some(filled))
}

async fn tell_queue(stores: &Stores, latest: &watch::Receiver<FillProgress>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let progress = latest.borrow().clone();
        if let Err(error) = stores.queue.tell_fill(&progress).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot tell how far it is");
        }
    }
}

/// Removes the collection of the configured model; what is left of its jobs (URLs that nobody has fetched yet) goes to the
/// model beside. False when the two are the same model, which stays.
pub(crate) async fn remove(config: &Config) -> Result<bool, ChangeFault> {
    let (leaving, _) = model::identify(config).await?;
    let Some(staying) = identify_beside(config, &leaving).await? else { return Ok(false) };
    let stores = backends::open(config).await?;
    stores.queue.adopt(&staying.fingerprint).await.map_err(StoreError::from)?;
    stores.index.remove(&leaving).await?;
    Ok(true)
}
