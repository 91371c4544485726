//! The image half: batches for ingest, and a session of its own for the image that somebody is waiting for.

use std::sync::Arc;

use futures::future::join_all;

use super::{background::Background, pool::SessionPool};
use crate::{graph::ImageGraph, model_error::ModelError, vector::finish};

/// A vector, or why there is none, for each image of a batch.
pub(super) type Vectors = Vec<Result<Vec<f32>, ModelError>>;

pub(super) struct ImageModel {
    pub(super) runner: Arc<ImageRunner>,
    pub(super) batch: SessionPool,
    pub(super) background: Arc<Background>,
    pub(super) interactive: SessionPool,
}

/// How pixels go through a session; shared with the threads that do it.
pub(super) struct ImageRunner {
    pub(super) graph: ImageGraph,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    pub(super) normalise: bool,
}

impl ImageRunner {
    /// `images` are pixels as [`crate::preprocess::Preprocess::pixels`] gives them.
    pub(super) fn run(&self, session: &mut ort::session::Session, images: &[Vec<f32>]) -> Vectors {
        let at_once = if self.graph.single { 1 } else { images.len().max(1) };
        images.chunks(at_once).flat_map(|images| self.run_once(session, images)).collect()
    }

    fn run_once(&self, session: &mut ort::session::Session, images: &[Vec<f32>]) -> Vectors {
        let rows = match images {
            [pixels] => self.graph.run(session, pixels, 1, self.size),
            _ => self.graph.run(session, &images.concat(), images.len(), self.size),
        };
        match rows {
            Ok(rows) => rows.iter().map(|row| finish(row, self.normalise)).collect(),
            Err(error) => vec![Err(error); images.len()],
        }
    }
}

impl ImageModel {
    /// Vectors in the order of `images`. At most `batch_size` are in one run; the sessions that are idle share what is
    /// there, so that also a single batch keeps all of them busy. When none is, larger runs are the faster ones.
    pub(super) async fn embed_batch(&self, images: Vec<Vec<f32>>, batch_size: usize) -> Vectors {
        let share = images.len().div_ceil(self.batch.idle().max(1)).clamp(1, batch_size.max(1));
        let runs = into_chunks(images, share).into_iter().map(|images| {
            let runner = Arc::clone(&self.runner);
            self.batch.run_in(&self.background, move |session| runner.run(session, &images))
        });
        join_all(runs).await.into_iter().flatten().collect()
    }

    /// One image, never behind a batch.
    pub(super) async fn embed_now(&self, pixels: Vec<f32>) -> Result<Vec<f32>, ModelError> {
        let runner = Arc::clone(&self.runner);
        self.interactive.run(move |session| runner.run(session, &[pixels]).swap_remove(0)).await
    }
}

/// Consecutive runs of at most `length`, without copying pixels.
fn into_chunks(mut images: Vec<Vec<f32>>, length: usize) -> Vec<Vec<Vec<f32>>> {
    let mut chunks = Vec::new();
    while images.len() > length {
        let rest = images.split_off(length);
        chunks.push(std::mem::replace(&mut images, rest));
    }
    if !images.is_empty() {
        chunks.push(images);
    }
    chunks
}
