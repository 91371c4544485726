//! What lists, counts and lookups by image are answered from: the task states of the bucket, in memory and in order. It
//! is fed by the watcher (`watch`) and by what this process writes itself, whichever is first; of a task, the highest
//! revision stands. It also decides what is forgotten: every process does so by the same rule, so that no message has to
//! tell them of it.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use shared::{ImageId, ModelFingerprint, Task, TaskFailure, TaskId, TaskResult, TaskStatus};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::states::State;

/// Changes a slow reader may be behind before it loses the oldest.
const CHANGES_KEPT: usize = 1024;
/// The longest texts that are kept here, in bytes; what is longer is read from the bucket when it is shown.
const KEPT_TEXT: usize = 256;

/// Of what others remove, kept until it is clear that it wasn't this process that ended the task.
const UNCLAIMED_KEPT: usize = 1024;

/// Of a state whose time only its writer's clock could tell: newer than all that is told, so that it is kept for now.
const NOT_TOLD: Timestamp = Timestamp::MAX;

/// How many ended tasks are kept, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Of those that are done, and of those that failed: a long run of successes doesn't push the failures out of sight.
    pub(super) tasks: u64,
    pub(super) age: Duration,
}

/// A task as far as it is kept in memory.
pub(super) struct Shown {
    pub(super) task: Task,
    /// A text was too long to be kept: the bucket has all of it.
    pub(super) cut: bool,
}

pub(super) struct Projection {
    tasks: Mutex<Tasks>,
    changes: broadcast::Sender<Task>,
    built: watch::Sender<bool>,
}

impl Projection {
    pub(super) fn new(retention: Retention) -> Self {
        let tasks = Mutex::new(Tasks { retention, ..Tasks::default() });
        Self { tasks, changes: broadcast::channel(CHANGES_KEPT).0, built: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // A panic between two changes of the maps is not expected; if there is one, the next build puts them right.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this process wrote; the watcher tells later when that was.
    pub(super) fn write(&self, state: &State, revision: u64) {
        let mut tasks = self.lock();
        self.apply(&mut tasks, state, revision, NOT_TOLD, true);
        // The watcher may have been faster.
        let Tasks { forgotten, forgotten_by_others, .. } = &mut *tasks;
        forgotten_by_others.retain(|(cause, gone)| {
            if *cause == revision {
                forgotten.push(*gone);
            }
            *cause != revision
        });
    }

    /// What the watcher saw, and when the server took it.
    pub(super) fn see(&self, state: &State, revision: u64, taken: Timestamp) {
        let built = *self.built.borrow();
        let mut tasks = self.lock();
        let before = tasks.forgotten.len();
        tasks.server_time = tasks.server_time.max(taken);
        self.apply(&mut tasks, state, revision, taken, built);
        if built {
            // Whoever ended the task removes what has to go for it; all the others needn't.
            let Tasks { forgotten, forgotten_by_others, .. } = &mut *tasks;
            forgotten_by_others.extend(forgotten.drain(before..).map(|gone| (revision, gone)));
            let surplus = forgotten_by_others.len().saturating_sub(UNCLAIMED_KEPT);
            forgotten_by_others.drain(..surplus);
        }
    }

    fn apply(&self, tasks: &mut Tasks, state: &State, revision: u64, taken: Timestamp, announced: bool) {
        if tasks.apply(state, revision, taken) && announced {
            // Under the lock, so that changes are announced in the order in which they are applied. Nobody listening is
            // fine.
            let _ = self.changes.send(state.task());
        }
    }

    /// Takes what is over and not to be kept any longer; the caller removes it from the bucket.
    pub(super) fn take_forgotten(&self) -> Vec<u64> {
        let mut tasks = self.lock();
        tasks.forget_old();
        std::mem::take(&mut tasks.forgotten)
    }

    /// Everything of a revision before this one is gone.
    pub(super) fn clear(&self, revision: u64) {
        self.lock().clear(revision);
    }

    /// The watcher starts over: what it doesn't see until `end_build` is gone.
    pub(super) fn begin_build(&self) {
        self.lock().generation += 1;
    }

    pub(super) fn end_build(&self) {
        self.lock().drop_unseen();
        self.built.send_replace(true);
    }

    /// Waits until everything in the bucket was seen once.
    pub(super) async fn wait_built(&self) {
        // Fails only when the sender is gone, which is here.
        let _ = self.built.subscribe().wait_for(|built| *built).await;
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Task> {
        self.changes.subscribe()
    }

    pub(super) fn knows(&self, task_id: TaskId) -> bool {
        self.lock().entries.contains_key(&task_id)
    }

    pub(super) fn live(&self, image_id: ImageId, model: &ModelFingerprint) -> Option<Shown> {
        self.lock().live(image_id, model)
    }

    /// Tasks accepted before the one of the cursor, newest first.
    pub(super) fn list(&self, status: Option<TaskStatus>, before: Option<TaskId>, limit: usize) -> Vec<Shown> {
        self.lock().list(status, before, limit)
    }

    pub(super) fn counts(&self) -> Vec<(TaskStatus, u64)> {
        let tasks = self.lock();
        TaskStatus::ALL.into_iter().map(|status| (status, tasks.by_status[index(status)].len() as u64)).collect()
    }

    /// When the oldest of those that wait was made.
    pub(super) fn oldest_queued(&self) -> Option<Timestamp> {
        let tasks = self.lock();
        let oldest = tasks.by_status[index(TaskStatus::Queued)].first()?;
        tasks.entries.get(oldest).map(|entry| entry.created)
    }

    /// Tasks that are alive and whose image is not known: URLs that are not fetched yet.
    pub(super) fn without_image(&self) -> Vec<TaskId> {
        let tasks = self.lock();
        let wanted = |entry: &Entry| entry.status.is_alive() && entry.image_id.is_none();
        tasks.entries.iter().filter(|(_, entry)| wanted(entry)).map(|(task_id, _)| *task_id).collect()
    }
}

/// The parts of a state that are shown, small: a hundred thousand of them are kept.
struct Entry {
    revision: u64,
    /// The build in which it was seen last.
    generation: u32,
    status: TaskStatus,
    attempts: u32,
    model: Arc<str>,
    image_id: Option<ImageId>,
    name: Option<Box<str>>,
    result: Option<Box<TaskResult>>,
    error: Option<Box<TaskFailure>>,
    created: Timestamp,
    updated: Timestamp,
    /// When the server took this state: clocks of processes may differ, and only the server's tells how old it is.
    taken: Timestamp,
    cut: bool,
}

#[derive(Default)]
struct Tasks {
    retention: Retention,
    /// Ids are ordered by time, so this is the order of lists.
    entries: BTreeMap<TaskId, Entry>,
    by_status: [BTreeSet<TaskId>; TaskStatus::ALL.len()],
    live: BTreeSet<(ImageId, Arc<str>, TaskId)>,
    /// By the time at which the server heard of their end.
    done: BTreeSet<(Timestamp, TaskId)>,
    failed: BTreeSet<(Timestamp, TaskId)>,
    /// Models are few; each name is kept once.
    models: HashMap<String, Arc<str>>,
    generation: u32,
    /// The latest that is known.
    server_time: Timestamp,
    /// Revisions before this one are gone.
    cleared: u64,
    /// Revisions of what is not kept any longer, for this process to remove.
    forgotten: Vec<u64>,
    /// The same for others to remove, each after the revision that it had to go for.
    forgotten_by_others: VecDeque<(u64, u64)>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { tasks: u64::MAX, age: Duration::MAX }
    }
}

impl Tasks {
    /// True when the task has changed by it.
    fn apply(&mut self, state: &State, revision: u64, taken: Timestamp) -> bool {
        let task_id = state.job.task_id;
        let generation = self.generation;
        if let Some(known) = self.entries.get_mut(&task_id) {
            known.generation = generation;
            if known.revision >= revision {
                if known.revision == revision && known.taken == NOT_TOLD {
                    self.set_taken(task_id, taken);
                }
                return false;
            }
        }
        if revision < self.cleared {
            return false;
        }
        self.remove(task_id);
        let entry = self.entry(state, revision, taken);
        self.insert(task_id, entry);
        self.forget_surplus();
        self.entries.contains_key(&task_id)
    }

    fn set_taken(&mut self, task_id: TaskId, taken: Timestamp) {
        if let Some(entry) = self.remove(task_id) {
            self.insert(task_id, Entry { taken, ..entry });
        }
    }

    fn entry(&mut self, state: &State, revision: u64, taken: Timestamp) -> Entry {
        let model = self.models.entry(state.job.model.0.clone()).or_insert_with_key(|model| model.as_str().into());
        let mut cut = false;
        let mut kept = |text: &str| {
            let end = text.floor_char_boundary(KEPT_TEXT);
            cut |= end < text.len();
            text[..end].to_owned()
        };
        Entry {
            revision,
            generation: self.generation,
            status: state.status,
            attempts: state.attempts,
            model: model.clone(),
            image_id: state.image_id,
            name: state.job.name.as_deref().map(|name| kept(name).into()),
            error: state
                .error
                .as_ref()
                .map(|error| Box::new(TaskFailure { code: error.code, detail: kept(&error.detail) })),
            result: state.result.clone().map(Box::new),
            created: state.job.created,
            updated: state.updated,
            taken,
            cut,
        }
    }

    fn insert(&mut self, task_id: TaskId, entry: Entry) {
        self.by_status[index(entry.status)].insert(task_id);
        if entry.status.is_alive() {
            if let Some(image_id) = entry.image_id {
                self.live.insert((image_id, entry.model.clone(), task_id));
            }
        } else {
            self.ended(entry.status).insert((entry.taken, task_id));
        }
        self.entries.insert(task_id, entry);
    }

    fn remove(&mut self, task_id: TaskId) -> Option<Entry> {
        let entry = self.entries.remove(&task_id)?;
        self.by_status[index(entry.status)].remove(&task_id);
        if entry.status.is_alive() {
            if let Some(image_id) = entry.image_id {
                self.live.remove(&(image_id, entry.model.clone(), task_id));
            }
        } else {
            self.ended(entry.status).remove(&(entry.taken, task_id));
        }
        Some(entry)
    }

    fn ended(&mut self, status: TaskStatus) -> &mut BTreeSet<(Timestamp, TaskId)> {
        if status == TaskStatus::Failed { &mut self.failed } else { &mut self.done }
    }

    fn forget_surplus(&mut self) {
        for status in [TaskStatus::Indexed, TaskStatus::Failed] {
            while self.ended(status).len() as u64 > self.retention.tasks {
                let Some((_, task_id)) = self.ended(status).pop_first() else { break };
                self.forget(task_id);
            }
        }
    }

    fn forget_old(&mut self) {
        let Ok(before) = self.server_time.checked_sub(self.retention.age) else { return };
        for status in [TaskStatus::Indexed, TaskStatus::Failed] {
            while let Some((_, task_id)) = self.ended(status).first().copied().filter(|(ended, _)| *ended < before) {
                self.forget(task_id);
            }
        }
    }

    fn forget(&mut self, task_id: TaskId) {
        if let Some(entry) = self.remove(task_id) {
            self.forgotten.push(entry.revision);
        }
    }

    fn clear(&mut self, revision: u64) {
        self.cleared = self.cleared.max(revision);
        let gone = |entry: &Entry| entry.revision < revision;
        let gone: Vec<TaskId> = self.entries.iter().filter(|(_, entry)| gone(entry)).map(|(id, _)| *id).collect();
        for task_id in gone {
            self.remove(task_id);
        }
    }

    fn drop_unseen(&mut self) {
        let generation = self.generation;
        let unseen = |entry: &Entry| entry.generation != generation;
        let unseen: Vec<TaskId> = self.entries.iter().filter(|(_, entry)| unseen(entry)).map(|(id, _)| *id).collect();
        for task_id in unseen {
            self.remove(task_id);
        }
    }

    fn live(&self, image_id: ImageId, model: &ModelFingerprint) -> Option<Shown> {
        let model = self.models.get(&model.0)?;
        let of_image = |task_id| (image_id, model.clone(), TaskId(task_id));
        let range = of_image(Uuid::nil())..=of_image(Uuid::max());
        let (_, _, task_id) = self.live.range(range).next_back()?;
        self.shown(*task_id)
    }

    fn list(&self, status: Option<TaskStatus>, before: Option<TaskId>, limit: usize) -> Vec<Shown> {
        let range = (Bound::Unbounded, before.map_or(Bound::Unbounded, Bound::Excluded));
        let ids: Vec<TaskId> = if let Some(status) = status {
            self.by_status[index(status)].range(range).rev().take(limit).copied().collect()
        } else {
            self.entries.range(range).rev().take(limit).map(|(task_id, _)| *task_id).collect()
        };
        ids.into_iter().filter_map(|task_id| self.shown(task_id)).collect()
    }

    fn shown(&self, task_id: TaskId) -> Option<Shown> {
        let entry = self.entries.get(&task_id)?;
        let task = Task {
            task_id,
            status: entry.status,
            name: entry.name.as_deref().map(str::to_owned),
            image_id: entry.image_id,
            result: entry.result.as_deref().cloned(),
            error: entry.error.as_deref().cloned(),
            attempts: entry.attempts,
            created: entry.created,
            updated: entry.updated,
        };
        Some(Shown { task, cut: entry.cut })
    }
}

fn index(status: TaskStatus) -> usize {
    TaskStatus::ALL.iter().position(|known| *known == status).unwrap_or_default()
}
