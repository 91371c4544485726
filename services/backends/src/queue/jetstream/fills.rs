//! Tells the operator how far the collection of a new model is: one key of a bucket that is made when there is something to
//! tell.

use async_nats::jetstream::message::PublishMessage;
use shared::model::FillProgress;

use super::{Inner, states, streams};
use crate::queue::QueueError;

impl Inner {
    pub(super) async fn tell_fill(&self, progress: &FillProgress) -> Result<(), QueueError> {
        let Self { connection, names, config, .. } = self;
        streams::ensure_one(connection, streams::models(names, config), "queue.keep_tasks").await?;
        let message = PublishMessage::build().payload(states::to_json(progress)?);
        // One that is refused, for what the stream may hold, is followed by the next.
        connection.publish(names.models_subject(FillProgress::KEY), message).await.map(drop)
    }
}
