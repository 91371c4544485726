//! The consumers behind the queue, one a model: made, or brought up to date, at the first lease of each process. What can't be
//! changed about one that is there stays as it is.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, Config},
    stream::ConsumerErrorKind,
};
use serde::Deserialize;
use shared::ModelFingerprint;
use tracing::info;

use super::{
    connection::{Connection, unavailable},
    streams::Names,
};
use crate::queue::QueueError;

/// The lease that needs no word to the server: what `ingestworker.lease_ms` is unless it is set otherwise.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(30);
/// Pull requests that may wait at a consumer at the same time: one for each idle worker.
const MAX_WAITING: i64 = 2048;

pub(super) struct Consumers {
    connection: Connection,
    names: Names,
    /// Models whose consumer this process has seen to.
    ensured: Mutex<HashSet<ModelFingerprint>>,
}

impl Consumers {
    pub(super) fn new(connection: Connection, names: Names) -> Self {
        Self { connection, names, ensured: Mutex::default() }
    }

    /// Sees to a model's consumer unless this process has done so.
    pub(super) async fn ensure_once(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        if !self.ensured().contains(model) {
            self.ensure(model).await?;
            self.ensured().insert(model.clone());
        }
        Ok(())
    }

    /// Makes the consumer of a model, or brings the one that is there up to date: another version may have made it, or
    /// somebody by hand.
    pub(super) async fn ensure(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        let desired = desired(&self.names, model);
        let (what, config) = match self.find(model).await? {
            None => (format!("make the consumer of model {model}"), desired),
            Some(existing) => {
                self.refuse_another_kind(&existing, model)?;
                let merged = merged(&existing, desired);
                if merged == existing {
                    return Ok(());
                }
                info!(%model, "bringing the consumer up to date");
                (format!("bring the consumer of model {model} up to date"), merged)
            }
        };
        // Somebody may do the same at the same time: that is no error.
        let context = &self.connection.context;
        self.connection.call(&what, context.create_consumer_on_stream(config, self.names.jobs())).await.map(drop)
    }

    /// Removes the consumers of all other models, whose jobs nobody makes any more.
    pub(super) async fn remove_others(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        #[derive(Deserialize)]
        struct Found {
            /// Null when there is none.
            consumers: Option<Vec<String>>,
        }
        let stream = self.names.jobs();
        let list = format!("CONSUMER.NAMES.{stream}");
        let Found { consumers } = self.connection.request("list the consumers", list, &()).await?;
        for other in consumers.into_iter().flatten().filter(|name| *name != model.0) {
            let removed = self.connection.context.delete_consumer_from_stream(&other, &stream);
            self.connection.call(&format!("remove the consumer {other}"), removed).await?;
            self.ensured().remove(&ModelFingerprint(other));
        }
        Ok(())
    }

    async fn find(&self, model: &ModelFingerprint) -> Result<Option<Config>, QueueError> {
        let found = async {
            let context = &self.connection.context;
            match context.get_consumer_from_stream::<Config, _, _>(&model.0, self.names.jobs()).await {
                Ok(consumer) => Ok(Some(consumer.cached_info().config.clone())),
                Err(error) => match error.kind() {
                    ConsumerErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {
                        Ok(None)
                    }
                    _ => Err(error),
                },
            }
        };
        self.connection.call(&format!("look up the consumer of model {model}"), found).await
    }

    /// One that can't be made ours by any update.
    fn refuse_another_kind(&self, existing: &Config, model: &ModelFingerprint) -> Result<(), QueueError> {
        if existing.deliver_subject.is_none() && existing.ack_policy == AckPolicy::Explicit {
            return Ok(());
        }
        Err(unavailable(
            format!("the consumer {model} of the stream {} was made for something else", self.names.jobs()),
            "remove that consumer with the server's tools; the jobs stay in the stream",
        ))
    }

    fn ensured(&self) -> MutexGuard<'_, HashSet<ModelFingerprint>> {
        self.ensured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn desired(names: &Names, model: &ModelFingerprint) -> Config {
    Config {
        durable_name: Some(model.0.clone()),
        description: Some("imagesearch: workers of one model".into()),
        filter_subject: names.job_subject(model),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // How often a job is tried is the worker's to decide: a message beyond a limit here would stay, unseen.
        max_deliver: -1,
        // Jobs that wait for another try are pending too: a limit would let them stop all others.
        max_ack_pending: -1,
        max_waiting: MAX_WAITING,
        ..Config::default()
    }
}

/// As desired, but for what the server refuses to change, and what is of no concern to a lease.
fn merged(existing: &Config, desired: Config) -> Config {
    Config {
        name: existing.name.clone(),
        deliver_policy: existing.deliver_policy,
        replay_policy: existing.replay_policy,
        max_waiting: existing.max_waiting,
        memory_storage: existing.memory_storage,
        num_replicas: existing.num_replicas,
        sample_frequency: existing.sample_frequency,
        metadata: existing.metadata.clone(),
        ..desired
    }
}
