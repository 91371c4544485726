//! The text half: a session of its own, and a bounded memory of the texts asked for lately.

use std::sync::Arc;

use ort::session::Session;
use shared::metrics::cache::{self, Cache};

use super::pool::SessionPool;
use crate::{
    graph::TextGraph,
    model_error::ModelError,
    text::{TextEncoder, Tokens},
    vector::finish,
};

pub(super) struct TextModel {
    encoder: TextEncoder,
    runner: Arc<TextRunner>,
    pool: SessionPool,
    /// By token ids: texts that the model can't tell apart share an entry, and no entry is longer than the context.
    cache: moka::future::Cache<Vec<u32>, Arc<[f32]>>,
}

pub(super) struct TextRunner {
    pub(super) graph: TextGraph,
    pub(super) normalise: bool,
}

impl TextModel {
    pub(super) fn new(encoder: TextEncoder, runner: TextRunner, pool: SessionPool, cache_entries: u64) -> Self {
        Self { encoder, runner: Arc::new(runner), pool, cache: moka::future::Cache::new(cache_entries) }
    }

    /// Equal texts that arrive together are computed once.
    pub(super) async fn embed(&self, text: &str) -> Result<Arc<[f32]>, ModelError> {
        let tokens = self.encoder.encode(text)?;
        let remembered = self.cache.get(&tokens.ids).await;
        cache::looked_up(Cache::QueryText, remembered.is_some());
        if let Some(vector) = remembered {
            return Ok(vector);
        }
        let key = tokens.ids.clone();
        let compute = async { self.run(tokens).await.map(Arc::from) };
        self.cache.try_get_with(key, compute).await.map_err(|error| ModelError::clone(&error))
    }

    /// A text that nobody asks for: it takes no place in the memory.
    pub(super) async fn embed_once(&self, text: &str) -> Result<Vec<f32>, ModelError> {
        self.run(self.encoder.encode(text)?).await
    }

    async fn run(&self, tokens: Tokens) -> Result<Vec<f32>, ModelError> {
        let runner = Arc::clone(&self.runner);
        let run = move |session: &mut Session| {
            runner.graph.run(session, &tokens).and_then(|row| finish(&row, runner.normalise))
        };
        self.pool.run(run).await
    }
}
