//! Pictures to try a new server with.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::stream;
use shared::Metadata;

use crate::ingest::{Accepted, FileInfo, Ingest, IngestError};

/// A picture that comes with the server.
#[derive(Debug, Clone)]
pub struct Sample {
    pub name: String,
    pub bytes: Bytes,
    pub metadata: Metadata,
}

/// Gives the pictures that come with the server, each time anew.
pub type Samples = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

impl Ingest {
    /// Takes the samples in as if they had been uploaded; one outcome each, with its name.
    pub async fn ingest_samples(&self, samples: Vec<Sample>) -> Vec<(String, Result<Accepted, IngestError>)> {
        let mut outcomes = Vec::with_capacity(samples.len());
        for Sample { name, bytes, metadata } in samples {
            let info = FileInfo { name: Some(name.clone()), metadata };
            let Ok(outcome) = self.upload(info, stream::iter([Ok::<_, Infallible>(bytes)])).await;
            outcomes.push((name, outcome));
        }
        outcomes
    }
}
