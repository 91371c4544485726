//! The one thread that writes. It takes whatever waits, does it in one transaction, and answers after the commit: the
//! sync to disk, which is what a write costs, is shared by all who wrote at the same time.

use std::{sync::Arc, thread};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use rusqlite::{Connection, Params, TransactionBehavior};
use shared::Task;
use tokio::sync::{Notify, broadcast, futures::Notified, mpsc, oneshot};

use super::{schema::unavailable, tasks};
use crate::queue::QueueError;

/// Writes that wait; whoever has more waits to hand over.
const WAITING_WRITES: usize = 1024;
/// The most writes in one transaction.
const BATCH_WRITES: usize = 256;
/// Changes a slow reader may be behind before it loses the oldest.
const CHANGES_KEPT: usize = 1024;

/// The inner result is the caller's: it may be a refusal, which leaves the others' writes alone. The outer one is
/// SQLite's: an error there undoes the transaction for everybody in it.
pub(super) type Applied<T> = rusqlite::Result<Result<T, QueueError>>;

/// One transaction on its way: the writes of everybody who waited.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    /// Microseconds since 1970, the same for all writes of the transaction.
    pub(super) now_us: i64,
    changes: Vec<Task>,
    wakes: bool,
    ended: bool,
}

impl Batch<'_> {
    /// Runs a statement that changes tasks and returns them (`RETURNING` `tasks::COLUMNS`); says how many it changed.
    pub(super) fn change(&mut self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let before = self.changes.len();
        for task in statement.query_map(params, tasks::from_row)? {
            self.changes.push(task?);
        }
        Ok(self.changes.len() - before)
    }

    /// Announces a task that was changed.
    pub(super) fn changed(&mut self, task: Task) {
        self.changes.push(task);
    }

    /// Something may be leased now, or later at a new time: whoever waits for that looks again.
    pub(super) fn wakes(&mut self) {
        self.wakes = true;
    }

    /// A task has ended: there may be more of those than are kept.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

/// A write of whatever result, waiting for its transaction.
pub(super) trait Write: Send {
    fn apply(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;
    /// Called after the commit, or with what failed it.
    fn answer(self: Box<Self>, failure: Option<QueueError>);
}

struct Pending<W, T> {
    work: Option<W>,
    outcome: Option<Result<T, QueueError>>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<W, T> Write for Pending<W, T>
where
    W: FnOnce(&mut Batch<'_>) -> Applied<T> + Send,
    T: Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(batch)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<QueueError>) {
        let answer = failure.map(Err).or(self.outcome);
        if let Some(answer) = answer {
            // Whoever asked may have gone away; what was written stays.
            let _ = self.reply.send(answer);
        }
    }
}

/// Hands writes to the thread. Dropping it waits for what was handed over to be written.
pub(super) struct Writer {
    writes: Option<mpsc::Sender<Box<dyn Write>>>,
    thread: Option<thread::JoinHandle<()>>,
    changes: broadcast::Sender<Task>,
    waiters: Arc<Notify>,
}

impl Writer {
    /// Starts the thread, which owns the file from now on. `keep_tasks` bounds the tasks that have ended.
    pub(super) fn start(path: Utf8PathBuf, connection: Connection, keep_tasks: u64) -> std::io::Result<Self> {
        let (writes, incoming) = mpsc::channel(WAITING_WRITES);
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let waiters = Arc::new(Notify::new());
        let mut worker = Worker { path, connection, keep_tasks, changes: changes.clone(), waiters: waiters.clone() };
        let thread = thread::Builder::new().name("queue-writer".into()).spawn(move || worker.run(incoming))?;
        Ok(Self { writes: Some(writes), thread: Some(thread), changes, waiters })
    }

    /// Does `work` in the next transaction; returns once that is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Applied<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Pending { work: Some(work), outcome: None, reply });
        let writes = self.writes.as_ref().ok_or_else(stopped)?;
        writes.send(pending).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// For writes that nobody waits for.
    pub(super) fn detached(&self) -> DetachedWriter {
        DetachedWriter(self.writes.as_ref().map(mpsc::Sender::downgrade))
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Task> {
        self.changes.subscribe()
    }

    /// Resolves when there may be something to lease that wasn't there when this was called and enabled.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.waiters.notified()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the last sender is gone. It is waited for so that the file is free when this returns.
        self.writes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hands over writes without waiting for them, and doesn't keep the writer alive.
#[derive(Clone)]
pub(super) struct DetachedWriter(Option<mpsc::WeakSender<Box<dyn Write>>>);

impl DetachedWriter {
    /// Best effort: dropped when the writer is stopped or has too much to do.
    pub(super) fn write(&self, work: impl FnOnce(&mut Batch<'_>) -> Applied<()> + Send + 'static) {
        let (reply, _) = oneshot::channel();
        if let Some(writes) = self.0.as_ref().and_then(mpsc::WeakSender::upgrade) {
            let _ = writes.try_send(Box::new(Pending { work: Some(work), outcome: None, reply }));
        }
    }
}

/// What the thread owns.
struct Worker {
    path: Utf8PathBuf,
    connection: Connection,
    keep_tasks: u64,
    changes: broadcast::Sender<Task>,
    waiters: Arc<Notify>,
}

impl Worker {
    fn run(&mut self, mut incoming: mpsc::Receiver<Box<dyn Write>>) {
        let mut writes = Vec::with_capacity(BATCH_WRITES);
        while incoming.blocking_recv_many(&mut writes, BATCH_WRITES) > 0 {
            let failure = self.commit(&mut writes).err().map(Arc::new);
            for write in writes.drain(..) {
                write.answer(failure.clone().map(|source| unavailable(&self.path, source)));
            }
        }
    }

    fn commit(&mut self, writes: &mut [Box<dyn Write>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now_us = Timestamp::now().as_microsecond();
        let mut batch = Batch { connection: &transaction, now_us, changes: Vec::new(), wakes: false, ended: false };
        for write in writes {
            write.apply(&mut batch)?;
        }
        if batch.ended {
            tasks::prune(batch.connection, self.keep_tasks)?;
        }
        let Batch { changes, wakes, .. } = batch;
        transaction.commit()?;
        for task in changes {
            // Nobody listening is fine.
            let _ = self.changes.send(task);
        }
        if wakes {
            self.waiters.notify_waiters();
        }
        Ok(())
    }
}

fn stopped() -> QueueError {
    QueueError::Unavailable { context: "its writer has stopped".into(), source: "the process is ending".into() }
}
