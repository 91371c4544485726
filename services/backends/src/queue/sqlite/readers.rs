//! A few connections that read, off the async threads. In WAL mode they see the last commit and wait for nobody.

use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8Path;
use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::schema::{open_reader, unavailable};
use crate::queue::QueueError;

/// Reads at once; the others wait their turn.
const CONNECTIONS: usize = 4;

/// Opened when first needed, then kept.
pub(super) struct Readers {
    path: Arc<Utf8Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Utf8Path) -> Self {
        Self { path: path.into(), idle: Arc::default(), turns: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Runs `query` on a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|source| stopped(&self.path, source))?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let work = move || {
            // Held until the connection is back, also when whoever asked goes away meanwhile.
            let _turn = turn;
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = taken.map_or_else(|| open_reader(&path), Ok)?;
            let answer = query(&connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        };
        let answer = spawn_blocking(work).await.map_err(|source| stopped(&self.path, source))?;
        answer.map_err(|source| unavailable(&self.path, Arc::new(source)))
    }
}

fn stopped(path: &Utf8Path, source: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError::Unavailable { context: format!("a read of {path} was cut off"), source: Box::new(source) }
}
