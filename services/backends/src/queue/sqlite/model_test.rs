//! Random histories against a simple model in memory: whatever order things happen in, and wherever the process is
//! stopped or killed in between, the queue shows what the model shows.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use shared::{FailureCode, Job, TaskFailure, TaskId, TaskStatus};
use tempfile::TempDir;

use super::{SqliteQueue, tests::crashed_copy};
use crate::queue::{
    JobQueue, Lease, Outcome, QueueError, TaskQuery,
    conformance::{LONG, count, failure, image, model, result, stored},
};

const MAX_JOBS: u64 = 6;
const KEEP_TASKS: u64 = 2;
/// Of the leases ever given, the last so many are used: most of them hold, some are lost.
const HOLDERS: usize = 8;

#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        new: usize,
        again: Option<prop::sample::Index>,
    },
    /// A lease that is not `long` has run out when somebody looks again.
    Lease {
        max: usize,
        long: bool,
    },
    /// What holders of leases do, former ones among them.
    Hold {
        lease: prop::sample::Index,
        action: Action,
    },
    Stop,
    Kill,
    Clear,
}

#[derive(Debug, Clone)]
enum Action {
    Extend { long: bool },
    Finish(TaskStatus),
    Retry { delayed: bool },
    HandBack,
    SetImage,
}

fn action() -> impl Strategy<Value = Action> {
    use TaskStatus::{Duplicate, Failed, Indexed, Superseded};
    prop_oneof![
        2 => any::<bool>().prop_map(|long| Action::Extend { long }),
        8 => prop::sample::select(vec![Indexed, Failed, Duplicate, Superseded]).prop_map(Action::Finish),
        2 => any::<bool>().prop_map(|delayed| Action::Retry { delayed }),
        2 => Just(Action::HandBack),
        1 => Just(Action::SetImage),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let again = prop::option::of(any::<prop::sample::Index>());
    prop_oneof![
        6 => (0..4_usize, again).prop_map(|(new, again)| Step::Enqueue { new, again }),
        6 => (1..4_usize, any::<bool>()).prop_map(|(max, long)| Step::Lease { max, long }),
        12 => (any::<prop::sample::Index>(), action()).prop_map(|(lease, action)| Step::Hold { lease, action }),
        1 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => Just(Step::Clear),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Ready,
    Delayed,
    Leased {
        token: String,
        expired: bool,
    },
    /// The how manieth task to end.
    Ended(usize),
}

#[derive(Debug, Clone)]
struct Entry {
    job: Job,
    state: State,
    status: TaskStatus,
    attempts: u32,
    image: shared::ImageId,
    error: Option<TaskFailure>,
}

impl Entry {
    fn set(&mut self, state: State, status: TaskStatus) {
        (self.state, self.status) = (state, status);
    }
}

/// The model: what is accepted, oldest first.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    ended: usize,
}

impl Model {
    fn enqueue(&mut self, jobs: &[Job]) -> bool {
        let new: Vec<&Job> = jobs.iter().filter(|job| self.entry(job.task_id).is_none()).collect();
        let alive = self.entries.iter().filter(|entry| entry.status.is_alive()).count();
        if !new.is_empty() && alive + new.len() > MAX_JOBS as usize {
            return false;
        }
        let accepted = |job: &Job| Entry {
            job: job.clone(),
            state: State::Ready,
            status: TaskStatus::Queued,
            attempts: 0,
            image: job.source.image_id().unwrap(),
            error: None,
        };
        let new: Vec<Entry> = new.into_iter().map(accepted).collect();
        self.entries.extend(new);
        true
    }

    fn entry(&mut self, task_id: TaskId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.job.task_id == task_id)
    }

    /// The jobs that a lease should bring, with their attempts.
    fn lease(&mut self, max: usize, long: bool, leased: &[Lease]) -> Vec<(TaskId, u32)> {
        for entry in &mut self.entries {
            if matches!(entry.state, State::Leased { expired: true, .. }) {
                entry.set(State::Ready, TaskStatus::Queued);
            }
        }
        let mut tokens = leased.iter().map(|lease| lease.token.clone());
        let ready = self.entries.iter_mut().filter(|entry| entry.state == State::Ready).take(max);
        ready
            .map(|entry| {
                entry.attempts += 1;
                let token = tokens.next().unwrap_or_default();
                entry.set(State::Leased { token, expired: !long }, TaskStatus::Processing);
                (entry.job.task_id, entry.attempts)
            })
            .collect()
    }

    /// Whether the lease held, and with that the action was done.
    fn hold(&mut self, lease: &Lease, action: &Action) -> bool {
        let ended = self.ended + 1;
        let Some(entry) = self.entry(lease.job.task_id) else { return false };
        let State::Leased { token, expired } = &mut entry.state else { return false };
        if *token != lease.token {
            return false;
        }
        match action {
            Action::Extend { long } => *expired = !long,
            Action::Finish(status) => {
                entry.error = (*status == TaskStatus::Failed).then(|| failure(FailureCode::Corrupt));
                entry.set(State::Ended(ended), *status);
                self.ended = ended;
                self.prune();
            }
            Action::Retry { delayed } => {
                entry.error = Some(failure(FailureCode::Internal));
                entry.set(if *delayed { State::Delayed } else { State::Ready }, TaskStatus::Queued);
            }
            Action::HandBack => {
                entry.attempts -= 1;
                entry.set(State::Ready, TaskStatus::Queued);
            }
            Action::SetImage => entry.image = image(u64::MAX),
        }
        true
    }

    fn prune(&mut self) {
        for failed in [true, false] {
            let ended = |entry: &Entry| match entry.state {
                State::Ended(order) if (entry.status == TaskStatus::Failed) == failed => Some(order),
                _ => None,
            };
            let mut orders: Vec<usize> = self.entries.iter().filter_map(ended).collect();
            orders.sort_unstable();
            let kept_from = orders.len().saturating_sub(KEEP_TASKS as usize);
            let forgotten = &orders[..kept_from];
            self.entries.retain(|entry| ended(entry).is_none_or(|order| !forgotten.contains(&order)));
        }
    }

    fn restart(&mut self) {
        for entry in &mut self.entries {
            if matches!(entry.state, State::Leased { .. }) {
                entry.set(State::Ready, TaskStatus::Queued);
            }
        }
    }
}

/// The queue and the model of it, taken through the same steps.
struct World {
    folder: TempDir,
    path: camino::Utf8PathBuf,
    queue: Option<SqliteQueue>,
    model: Model,
    /// All that were ever given, also those that are lost.
    leases: Vec<Lease>,
    made: u64,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap().join("queue.sqlite");
        let queue = Some(open(&path));
        Self { folder, path, queue, model: Model::default(), leases: Vec::new(), made: 0 }
    }

    fn queue(&self) -> &SqliteQueue {
        self.queue.as_ref().unwrap()
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Enqueue { new, again } => self.enqueue(*new, again.as_ref()).await,
            Step::Lease { max, long } => self.lease(*max, *long).await,
            Step::Hold { lease, action } if !self.leases.is_empty() => {
                let recent = &self.leases[self.leases.len().saturating_sub(HOLDERS)..];
                let lease = lease.get(recent).clone();
                self.hold(&lease, action).await;
            }
            Step::Hold { .. } => {}
            Step::Stop => {
                self.queue = None;
                self.queue = Some(open(&self.path));
                self.model.restart();
            }
            Step::Kill => {
                let folder = tempfile::tempdir().unwrap();
                self.path = crashed_copy(&self.path, &folder);
                self.queue = Some(open(&self.path));
                self.folder = folder;
                self.model.restart();
            }
            Step::Clear => {
                self.queue().clear().await.unwrap();
                self.model.entries.clear();
            }
        }
    }

    async fn enqueue(&mut self, new: usize, again: Option<&prop::sample::Index>) {
        let mut jobs: Vec<Job> = (self.made..self.made + new as u64).map(stored).collect();
        self.made += new as u64;
        if let Some(index) = again.filter(|_| !self.model.entries.is_empty()) {
            jobs.push(index.get(&self.model.entries).job.clone());
        }
        let answer = self.queue().enqueue(&jobs).await;
        let accepted = self.model.enqueue(&jobs);
        assert!(accepted == answer.is_ok() && matches!(answer, Ok(()) | Err(QueueError::Full { .. })), "{answer:?}");
    }

    async fn lease(&mut self, max: usize, long: bool) {
        let duration = if long { LONG } else { Duration::ZERO };
        let leased = self.queue().lease(&model(), max, duration, Duration::ZERO).await.unwrap();
        let expected = self.model.lease(max, long, &leased);
        let found: Vec<_> = leased.iter().map(|lease| (lease.job.task_id, lease.attempt)).collect();
        assert_eq!(found, expected);
        self.leases.extend(leased);
    }

    async fn hold(&mut self, lease: &Lease, action: &Action) {
        let queue = self.queue();
        let answer = match action {
            Action::Extend { long } => queue.extend(lease, if *long { LONG } else { Duration::ZERO }).await,
            Action::Finish(status) => queue.finish(lease, self.outcome(lease, *status)).await,
            Action::Retry { delayed } => {
                let delay = if *delayed { LONG } else { Duration::ZERO };
                queue.retry(lease, delay, failure(FailureCode::Internal)).await
            }
            Action::HandBack => queue.hand_back(lease).await,
            Action::SetImage => queue.set_image_id(lease, image(u64::MAX)).await,
        };
        let held = self.model.hold(lease, action);
        assert!(held == answer.is_ok() && matches!(answer, Ok(()) | Err(QueueError::LeaseLost(_))), "{answer:?}");
    }

    fn outcome(&self, lease: &Lease, status: TaskStatus) -> Outcome {
        // The result names the image that the task has, so that only `SetImage` changes it.
        let entry = self.model.entries.iter().find(|entry| entry.job.task_id == lease.job.task_id);
        let mut found = result(0);
        found.image_id = entry.map_or(found.image_id, |entry| entry.image);
        match status {
            TaskStatus::Failed => Outcome::Failed(failure(FailureCode::Corrupt)),
            TaskStatus::Duplicate => Outcome::Duplicate(found),
            TaskStatus::Indexed => Outcome::Indexed(found),
            _ => Outcome::Superseded,
        }
    }

    async fn compare(&self) {
        let queue = self.queue();
        let mut query = TaskQuery { limit: 4, ..TaskQuery::default() };
        let mut tasks = Vec::new();
        loop {
            let page = queue.tasks(&query).await.unwrap();
            tasks.extend(page.tasks);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        let found: Vec<_> = tasks
            .into_iter()
            .map(|task| (task.task_id, task.status, task.attempts, task.image_id, task.error))
            .collect();
        let shown =
            |entry: &Entry| (entry.job.task_id, entry.status, entry.attempts, Some(entry.image), entry.error.clone());
        assert_eq!(found, self.model.entries.iter().rev().map(shown).collect::<Vec<_>>());

        for status in TaskStatus::ALL {
            let expected = self.model.entries.iter().filter(|entry| entry.status == status).count() as u64;
            assert_eq!(count(queue, status).await, expected, "{status:?}");
        }
        if let Some(entry) = self.model.entries.last() {
            let live = queue.live_task(entry.image, &model()).await.unwrap();
            assert_eq!(
                live.is_some(),
                self.model.entries.iter().any(|e| e.image == entry.image && e.status.is_alive())
            );
        }
    }
}

fn open(path: &camino::Utf8Path) -> SqliteQueue {
    SqliteQueue::open(path, MAX_JOBS, KEEP_TASKS).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_history_shows_what_the_model_shows(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                world.step(step).await;
                world.compare().await;
            }
        });
    }
}
