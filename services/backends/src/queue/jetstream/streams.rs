//! The two streams and the bucket behind the queue, made or brought up to date when it is opened. What is there is never
//! made smaller, and never thrown away: whoever wants that does it with the server's own tools.

use std::time::Duration;

use async_nats::jetstream::{
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, Info, Placement, RetentionPolicy, StorageType},
};
use shared::{
    ModelFingerprint,
    config::{Jetstream, JetstreamStorage},
};
use tracing::{info, warn};

use super::connection::{Connection, unavailable};
use crate::queue::QueueError;

/// `$JS.API` error: there is no such stream.
const STREAM_NOT_FOUND: u64 = 10059;

/// What the streams and subjects of a deployment are called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    name: String,
}

impl Names {
    pub(super) fn new(name: &str) -> Result<Self, QueueError> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(unavailable(
                format!("queue.name {name:?} cannot name a stream"),
                "use letters, digits, `-` and `_` only",
            ));
        }
        Ok(Self { name: name.to_owned() })
    }

    pub(super) fn jobs(&self) -> String {
        Jetstream::jobs_stream(&self.name)
    }

    pub(super) fn dead(&self) -> String {
        format!("{}-dead", self.name)
    }

    /// The stream of the bucket of task states.
    pub(super) fn tasks(&self) -> String {
        format!("KV_{}-tasks", self.name)
    }

    pub(super) fn job_subject(&self, model: &ModelFingerprint) -> String {
        format!("{}.jobs.{model}", self.name)
    }

    pub(super) fn dead_subject(&self, model: &ModelFingerprint, key: &str) -> String {
        format!("{}.dead.{model}.{key}", self.name)
    }

    /// The stream of the bucket that tells how far a model's collection is.
    fn models(&self) -> String {
        format!("KV_{}", Jetstream::models_bucket(&self.name))
    }

    pub(super) fn models_subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", Jetstream::models_bucket(&self.name))
    }

    pub(super) fn task_subject(&self, key: &str) -> String {
        format!("$KV.{}-tasks.{key}", self.name)
    }
}

/// Makes what isn't there, enlarges what is too small.
pub(super) async fn ensure(connection: &Connection, names: &Names, config: &Jetstream) -> Result<(), QueueError> {
    for (desired, limit_setting) in [
        (jobs(names, config), "queue.max_jobs"),
        (dead(names, config), "queue.keep_tasks"),
        (tasks(names, config), "queue.keep_tasks"),
    ] {
        ensure_one(connection, desired, limit_setting).await?;
    }
    Ok(())
}

/// `limit_setting` says how many messages it may hold.
pub(super) async fn ensure_one(
    connection: &Connection,
    desired: Config,
    limit_setting: &'static str,
) -> Result<(), QueueError> {
    let Some(existing) = find(connection, &desired.name).await? else {
        let what = format!("make the stream {}", desired.name);
        // Somebody may make it at the same time: the same one is no error.
        return connection.call(&what, connection.context.create_stream(&desired)).await.map(drop);
    };
    refuse_another_kind(&existing, &desired)?;
    let merged = Merge { existing: &existing, desired: &desired, limit_setting }.larger();
    if merged != existing {
        info!(stream = desired.name, "bringing the stream up to date");
        let what = format!("bring the stream {} up to date", desired.name);
        connection.call(&what, connection.context.update_stream(&merged)).await?;
    }
    Ok(())
}

async fn find(connection: &Connection, name: &str) -> Result<Option<Config>, QueueError> {
    let what = format!("look up the stream {name}");
    let found = async {
        match connection.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(refused) if refused.error_code().0 == STREAM_NOT_FOUND => Ok(None),
                _ => Err(error),
            },
        }
    };
    connection.call(&what, found).await
}

/// Waiting jobs. A full stream refuses; a finished job leaves it.
fn jobs(names: &Names, config: &Jetstream) -> Config {
    Config {
        description: Some("imagesearch: jobs that wait or are in flight".into()),
        subjects: vec![format!("{}.jobs.*", names.name)],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_messages: config.max_jobs as i64,
        max_messages_per_subject: -1,
        duplicate_window: Duration::from_secs(config.duplicate_window_s),
        ..base(names.jobs(), config)
    }
}

/// Jobs that failed for good, the newest. One subject a task, so that a letter that is written again replaces itself.
fn dead(names: &Names, config: &Jetstream) -> Config {
    let max_age = Duration::from_secs(config.keep_tasks_for_s);
    Config {
        description: Some("imagesearch: jobs that failed, with the reason in their headers".into()),
        subjects: vec![format!("{}.dead.>", names.name)],
        max_messages: config.keep_tasks as i64,
        max_messages_per_subject: 1,
        max_age,
        // No longer than what it looks back on is kept.
        duplicate_window: Duration::from_secs(config.duplicate_window_s).min(max_age),
        ..base(names.dead(), config)
    }
}

/// Task states: a key-value bucket as the clients of NATS know it, without history. It has no age of its own, which would
/// take tasks that are alive too; retention is ours (`projection`), and a message that goes leaves no marker behind.
fn tasks(names: &Names, config: &Jetstream) -> Config {
    Config {
        description: Some("imagesearch: task states".into()),
        subjects: vec![names.task_subject(">")],
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: 1,
        allow_rollup: true,
        // Read from the leader: a follower may not have what was just written.
        allow_direct: false,
        duplicate_window: Duration::from_secs(config.duplicate_window_s),
        ..base(names.tasks(), config)
    }
}

/// What there is to tell of models: a bucket without history.
pub(super) fn models(names: &Names, config: &Jetstream) -> Config {
    Config {
        description: Some("imagesearch: how far the collection of a new model is".into()),
        subjects: vec![names.models_subject(">")],
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: 1,
        allow_rollup: true,
        ..base(names.models(), config)
    }
}

fn base(name: String, config: &Jetstream) -> Config {
    let placed = config.placement_cluster.is_some() || !config.placement_tags.is_empty();
    Config {
        name,
        max_bytes: -1,
        max_consumers: -1,
        max_message_size: -1,
        num_replicas: config.replicas as usize,
        storage: match config.storage {
            JetstreamStorage::File => StorageType::File,
            JetstreamStorage::Memory => StorageType::Memory,
        },
        placement: placed
            .then(|| Placement { cluster: config.placement_cluster.clone(), tags: config.placement_tags.clone() }),
        ..Config::default()
    }
}

/// A stream that was made for something else, or in a way that can't be changed while it holds something.
fn refuse_another_kind(existing: &Config, desired: &Config) -> Result<(), QueueError> {
    let differences = [
        (existing.storage != desired.storage, "queue.storage", "is kept in other storage"),
        (existing.retention != desired.retention, "queue.name", "has another retention policy"),
        (existing.subjects != desired.subjects, "queue.name", "has other subjects"),
        (
            existing.max_messages_per_subject.max(-1) != desired.max_messages_per_subject.max(-1)
                || existing.mirror.is_some()
                || existing.sources.as_ref().is_some_and(|sources| !sources.is_empty()),
            "queue.name",
            "was made for something else",
        ),
    ];
    match differences.into_iter().find(|(differs, ..)| *differs) {
        None => Ok(()),
        Some((_, setting, reason)) => Err(unavailable(
            format!("the stream {} {reason}", existing.name),
            format!("correct {setting}, or remove the stream when what is in it may go"),
        )),
    }
}

struct Merge<'a> {
    existing: &'a Config,
    desired: &'a Config,
    limit_setting: &'static str,
}

impl Merge<'_> {
    /// The existing stream with each limit at least as large as desired.
    fn larger(&self) -> Config {
        let (existing, desired) = (self.existing, self.desired);
        let mut merged = existing.clone();
        // Unlimited is written as -1 or 0.
        let unlimited = |limit: i64| if limit <= 0 { i64::MAX } else { limit };
        if self.grows(self.limit_setting, unlimited(existing.max_messages), unlimited(desired.max_messages)) {
            merged.max_messages = desired.max_messages;
        }
        let endless = |age: Duration| if age.is_zero() { Duration::MAX } else { age };
        if self.grows("queue.keep_tasks_for_s", endless(existing.max_age), endless(desired.max_age)) {
            merged.max_age = desired.max_age;
        }
        if self.grows("queue.duplicate_window_s", existing.duplicate_window, desired.duplicate_window) {
            merged.duplicate_window = desired.duplicate_window;
        }
        if self.grows("queue.replicas", existing.num_replicas, desired.num_replicas) {
            merged.num_replicas = desired.num_replicas;
        }
        if desired.placement.is_some() {
            merged.placement.clone_from(&desired.placement);
        }
        merged.discard = desired.discard;
        merged.allow_direct = desired.allow_direct;
        merged.description.clone_from(&desired.description);
        merged
    }

    fn grows<T: Ord + Copy>(&self, setting: &'static str, existing: T, desired: T) -> bool {
        if desired < existing {
            warn!(
                stream = self.existing.name,
                setting,
                "the stream was made with more than is configured and keeps it; change it with the server's tools"
            );
        }
        desired > existing
    }
}

/// State of a stream now.
pub(super) async fn info(connection: &Connection, name: String) -> Result<Info, QueueError> {
    let what = format!("look at the stream {name}");
    connection.request(&what, format!("STREAM.INFO.{name}"), &()).await
}
