//! The loop that takes jobs, never more than can run and none once a drain has begun, and the stages behind it:
//! prepare (read or fetch, decode; many at once) → embed (a batch at a time) → write (a batch at a time).
//!
//! A stage takes whatever is ready when it becomes free, up to a batch: a single upload goes through at once, and a
//! flood fills the batches by itself, without a timer.

use std::{sync::Arc, time::Duration};

use backends::queue::Lease;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Worker, calibrate, embed,
    leases::{Held, Leases, Room},
    prepare::{self, Prepared},
    write,
};

/// How long one fetch waits for a first job; also the longest that a drain waits for a fetch under way.
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// Between two tries while the queue is away.
const QUEUE_AWAY_PAUSE: Duration = Duration::from_secs(1);

/// The entrance of the stages.
struct Entrance {
    worker: Arc<Worker>,
    leases: Arc<Leases>,
    ready: mpsc::Sender<Prepared>,
    /// Bounds the originals that wait in memory for a decoder.
    originals: Arc<Semaphore>,
}

pub(crate) async fn run(worker: Arc<Worker>, drain: CancellationToken) {
    let settings = &worker.settings;
    let leases = Leases::new(
        worker.stores.queue.clone(),
        settings.retry.clone(),
        settings.lease,
        settings.max_in_flight,
        worker.load.clone(),
    );
    let (ready, prepared) = mpsc::channel(settings.batch_size);
    // Vectors are small, and never more than there are jobs in flight.
    let (done, embedded) = mpsc::channel(settings.max_in_flight);
    // Dropping the set stops everything.
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_alive(leases.clone()));
    tasks.spawn(embed::run(worker.clone(), prepared, done));
    tasks.spawn(write::run(worker.clone(), embedded));
    tasks.spawn(calibrate::run(worker.clone()));
    let originals = Arc::new(Semaphore::new(settings.max_originals));
    let entrance = Entrance { worker: worker.clone(), leases: leases.clone(), ready, originals };

    // Its time runs while a last fetch does: one that finds the queue away takes seconds.
    let ((), asked_at) = tokio::join!(entrance.pull(&mut tasks, &drain), begin_of(&drain));

    info!("draining: no more jobs are fetched");
    if tokio::time::timeout_at(asked_at + settings.drain_timeout, leases.all_ended()).await.is_err() {
        // Before the work on them is dropped, and they with it.
        let held = leases.held();
        tasks.shutdown().await;
        warn!(count = held.len(), "the drain took too long; what was left is handed back");
        leases.hand_back_all(held).await;
    }
}

/// Waits until a drain is asked for, and says when that was.
async fn begin_of(drain: &CancellationToken) -> Instant {
    drain.cancelled().await;
    Instant::now()
}

async fn keep_alive(leases: Arc<Leases>) {
    leases.keep_alive().await;
}

impl Entrance {
    async fn pull(&self, tasks: &mut JoinSet<()>, drain: &CancellationToken) {
        while !drain.is_cancelled() {
            let room = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                room = self.room() => room,
            };
            // Not raced against the drain: a fetch that is dropped half way may have leased jobs that nobody holds.
            let fetched = self.fetch(room.len()).await;
            for (lease, room) in fetched.into_iter().zip(room) {
                tasks.spawn(self.begin(self.leases.hold(lease, room)));
            }
            while let Some(ended) = tasks.try_join_next() {
                stay_whole(ended);
            }
        }
    }

    /// Waits until jobs can be worked on.
    async fn room(&self) -> Vec<Room> {
        self.worker.availability.until_there().await;
        if let Some(load) = &self.worker.goes_first {
            load.until_none().await;
        }
        self.leases.room().await
    }

    async fn fetch(&self, max: usize) -> Vec<Lease> {
        let Worker { stores, embedder, settings, .. } = self.worker.as_ref();
        match stores.queue.lease(embedder.fingerprint(), max, settings.lease, FETCH_WAIT).await {
            Ok(leases) => leases,
            Err(error) => {
                error!(%error, "cannot fetch jobs");
                tokio::time::sleep(QUEUE_AWAY_PAUSE).await;
                Vec::new()
            }
        }
    }

    fn begin(&self, held: Held) -> impl Future<Output = ()> + Send + use<> {
        prepare::run(self.worker.clone(), held, self.originals.clone(), self.ready.clone())
    }
}

/// What images do to a stage is caught inside it. A panic that gets here is a fault of ours, and a worker without one of
/// its stages would hold its jobs for ever: it goes down as a whole, and the next one gets them.
fn stay_whole(ended: Result<(), JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}
