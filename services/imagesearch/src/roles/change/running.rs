//! A model that is loaded, with its collection and the worker that does its jobs.

use std::sync::Arc;

use backends::index::Collection;
use embedding::Embedder;
use ingestworker::{Load, Worker};
use shared::model::KnownModel;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

pub(super) struct Running {
    pub(super) known: KnownModel,
    pub(super) embedder: Embedder,
    pub(super) collection: Arc<dyn Collection>,
    working: Option<Working>,
}

struct Working {
    load: Load,
    drain: CancellationToken,
    ended: JoinHandle<()>,
}

impl Running {
    pub(super) fn new(known: KnownModel, embedder: Embedder, collection: Arc<dyn Collection>) -> Self {
        Self { known, embedder, collection, working: None }
    }

    pub(super) fn is_working(&self) -> bool {
        self.working.as_ref().is_some_and(|working| !working.drain.is_cancelled())
    }

    /// How busy its worker is, for another one to let it go first.
    pub(super) fn load(&self) -> Load {
        self.working.as_ref().map(|working| working.load.clone()).unwrap_or_default()
    }

    /// `broken` hears of a worker that broke off.
    pub(super) fn start(&mut self, worker: Worker, broken: mpsc::Sender<JoinError>) {
        let (load, drain) = (worker.load(), CancellationToken::new());
        let work = tokio::spawn(worker.run(drain.clone()));
        let ended = tokio::spawn(async move {
            if let Err(error) = work.await {
                // Nobody listens any more when the process ends.
                let _ = broken.send(error).await;
            }
        });
        self.working = Some(Working { load, drain, ended });
    }

    /// Ends its worker: what it has in hand is done or handed back. Whoever gives up waiting finds it not working.
    pub(super) async fn stop(&mut self) {
        if let Some(working) = &mut self.working {
            working.drain.cancel();
            // The task only waits for another one, and so doesn't break off.
            let _ = (&mut working.ended).await;
        }
        self.working = None;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}
