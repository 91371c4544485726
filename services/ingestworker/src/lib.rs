//! `ingestworker`: takes jobs, decodes, embeds in batches, indexes. A job is a nudge, not a command: what is done is what
//! the image's record says when it is looked at.

mod calibrate;
mod embed;
mod fail;
mod fault;
pub mod fetch;
mod leases;
mod prepare;
mod pull;
mod settings;
mod spans;
mod turns;
mod url_job;
mod write;

use std::sync::Arc;

use backends::{Stores, availability::Availability, index::Collection, projection::Projection};
use embedding::Embedder;
use shared::metrics::limit::Circuit;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::fetch::{AddressPolicy, Fetcher, InvalidNetwork};
pub use crate::{settings::Settings, turns::Load};

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
    #[error("cannot set up the HTTP client that fetches images")]
    Client(#[source] reqwest::Error),
}

/// One worker; any number of them share a queue.
pub struct Worker {
    stores: Stores,
    collection: Arc<dyn Collection>,
    projection: Projection,
    embedder: Embedder,
    settings: Settings,
    fetcher: Fetcher,
    availability: Availability,
    load: Load,
    goes_first: Option<Load>,
    /// Told of every batch that was indexed.
    indexed: Notify,
}

impl Worker {
    /// A worker for the jobs of `embedder`'s model, whose collection `collection` is.
    pub fn new(
        stores: Stores,
        collection: Arc<dyn Collection>,
        projection: Projection,
        embedder: Embedder,
        settings: Settings,
    ) -> Result<Self, WorkerError> {
        let policy = AddressPolicy::new(&settings.allow_networks)?;
        let fetcher = Fetcher::new(policy, settings.fetch.clone()).map_err(WorkerError::Client)?;
        let availability = Availability::of_stores(&stores, Circuit::Ingest);
        Ok(Self {
            stores,
            collection,
            projection,
            embedder,
            settings,
            fetcher,
            availability,
            load: Load::default(),
            goes_first: None,
            indexed: Notify::new(),
        })
    }

    /// Lets another worker go first: begins no jobs while that one has some.
    pub fn after(self, goes_first: Load) -> Self {
        Self { goes_first: Some(goes_first), ..self }
    }

    pub fn load(&self) -> Load {
        self.load.clone()
    }

    /// Works until `drain` is cancelled, then ends what it holds within the drain time and hands the rest back.
    pub async fn run(self, drain: CancellationToken) {
        pull::run(Arc::new(self), drain).await;
    }
}
