//! What is done to the whole queue at once, by its only user: forgetting what a rebuild makes again, and giving the jobs
//! of other models to this one. Both may be repeated when they are cut short.

use std::collections::HashSet;

use async_nats::jetstream::stream::RawMessageErrorKind;
use shared::{Job, ModelFingerprint, TaskId};
use uuid::Uuid;

use super::{
    Inner,
    connection::{Published, unavailable},
    messages,
    states::key,
    streams,
};
use crate::queue::QueueError;

impl Inner {
    /// States first: a job without a state is only done once more, a state without its job would wait for ever.
    pub(super) async fn clear(&self) -> Result<(), QueueError> {
        self.built().await?;
        let kept = self.projection.without_image();
        // Written again, they are newer than everything else, so that one number says what goes.
        let mut oldest_kept = None;
        for task_id in &kept {
            oldest_kept = oldest_kept.or(self.renew(*task_id).await?);
        }
        let cleared = self.states.mark_cleared(oldest_kept).await?;
        self.purge(self.names.tasks(), serde_json::json!({"seq": cleared})).await?;
        if kept.is_empty() {
            self.purge(self.names.jobs(), serde_json::json!({})).await
        } else {
            self.remove_jobs_but(&kept.into_iter().collect()).await
        }
    }

    /// Writes a task's state again; gives its new revision.
    async fn renew(&self, task_id: TaskId) -> Result<Option<u64>, QueueError> {
        while let Some((state, revision)) = self.states.get(task_id).await? {
            if self.states.write(&state, revision).await? {
                return Ok(self.states.get(task_id).await?.map(|(_, revision)| revision));
            }
        }
        Ok(None)
    }

    async fn purge(&self, stream: String, which: serde_json::Value) -> Result<(), QueueError> {
        let what = format!("empty the stream {stream}");
        self.connection.request::<serde_json::Value>(&what, format!("STREAM.PURGE.{stream}"), &which).await.map(drop)
    }

    async fn remove_jobs_but(&self, kept: &HashSet<TaskId>) -> Result<(), QueueError> {
        let mut from = 1;
        while let Some((sequence, _, job)) = self.next_job(from).await? {
            if !job.is_some_and(|job| kept.contains(&job.task_id)) {
                self.remove_job(sequence).await?;
            }
            from = sequence + 1;
        }
        Ok(())
    }

    /// The first message of the stream at `from` or later: its number, its subject, its job.
    async fn next_job(&self, from: u64) -> Result<Option<(u64, String, Option<Job>)>, QueueError> {
        let all = self.names.job_subject(&ModelFingerprint("*".into()));
        let found = async {
            let stream = self.connection.context.get_stream_no_info(self.names.jobs()).await?;
            match stream.raw_message_builder().sequence(from).next_by_subject(all).send().await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(Box::<dyn std::error::Error + Send + Sync>::from(error)),
            }
        };
        let found = self.connection.call("read the waiting jobs", found).await?;
        Ok(found.map(|message| {
            (message.sequence, message.subject.to_string(), serde_json::from_slice(&message.payload).ok())
        }))
    }

    /// Publishes each job of another model for this one, then removes the old message, and last the other consumers. Cut short between the two, the job
    /// is there twice: whichever is delivered later finds its task over.
    pub(super) async fn adopt(&self, model: &ModelFingerprint) -> Result<(), QueueError> {
        let own = self.names.job_subject(model);
        let mut widened = false;
        let mut from = 1;
        while let Some((sequence, subject, job)) = self.next_job(from).await? {
            from = sequence + 1;
            let Some(job) = job.filter(|_| subject != own) else { continue };
            let job = Job { model: model.clone(), ..job };
            self.adopt_state(&job).await?;
            self.move_job(&job, &own, sequence, &mut widened).await?;
        }
        if widened {
            self.widen(-1).await?;
        }
        self.consumers.remove_others(model).await
    }

    async fn adopt_state(&self, job: &Job) -> Result<(), QueueError> {
        while let Some((mut state, revision)) = self.states.get(job.task_id).await? {
            if !state.status.is_alive() || state.job.model == job.model {
                break;
            }
            state.job.model = job.model.clone();
            if self.states.write(&state, revision).await? {
                break;
            }
        }
        Ok(())
    }

    async fn move_job(&self, job: &Job, subject: &str, sequence: u64, widened: &mut bool) -> Result<(), QueueError> {
        let message_id = format!("{}-{}", key(job.task_id), Uuid::new_v4().simple());
        loop {
            let message = messages::job(job, &message_id)?;
            match self.connection.publish(subject.to_owned(), message).await? {
                Published::Accepted(_) => return self.remove_job(sequence).await,
                // For the moment there is one more than there may be.
                Published::Full if !*widened => {
                    self.widen(1).await?;
                    *widened = true;
                }
                Published::Full | Published::Conflict => {
                    return Err(unavailable("cannot adopt a job", "others fill the queue meanwhile"));
                }
            }
        }
    }

    /// Lets the stream hold so many more.
    async fn widen(&self, jobs: i64) -> Result<(), QueueError> {
        let mut config = streams::info(&self.connection, self.names.jobs()).await?.config;
        config.max_messages += jobs;
        self.connection.call("make room for a job", self.connection.context.update_stream(&config)).await.map(drop)
    }
}
