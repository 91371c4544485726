//! Accepting jobs. A job is published first and its state written after: in between, a worker that gets the job writes the
//! state itself, so whatever dies there, the job is done. The other way round it could be lost.

use std::collections::HashSet;

use async_nats::jetstream::{publish::PublishAck, stream::RawMessageErrorKind};
use shared::Job;
use uuid::Uuid;

use super::{
    Inner,
    connection::{Published, answer, unavailable},
    messages,
    states::{self, State, delete, key},
    streams,
};
use crate::queue::QueueError;

/// Messages sent before the first acknowledgement is waited for.
const CHUNK: usize = 256;

impl Inner {
    /// Accepts jobs, all or none. A job whose task id was accepted before is one: by the projection, and while that doesn't
    /// know of it yet, by the server's deduplication.
    pub(super) async fn enqueue(&self, jobs: &[Job]) -> Result<(), QueueError> {
        self.built().await?;
        let mut seen = HashSet::new();
        let new: Vec<&Job> =
            jobs.iter().filter(|job| seen.insert(job.task_id) && !self.projection.knows(job.task_id)).collect();
        if new.len() > 1 {
            self.check_room(new.len() as u64).await?;
        }
        let mut accepted = Vec::with_capacity(new.len());
        for jobs in new.chunks(CHUNK) {
            if !self.publish(jobs, &mut accepted).await? {
                self.take_back(&accepted).await?;
                return Err(QueueError::Full { limit: self.max_jobs().await? });
            }
        }
        for accepted in accepted.chunks(CHUNK) {
            let states: Vec<State> = accepted.iter().map(|(job, _)| State::queued((*job).clone())).collect();
            self.states.create(&states).await?;
        }
        Ok(())
    }

    /// Publishes jobs in their order; false when one is refused since the stream is full.
    async fn publish<'a>(
        &self,
        jobs: &[&'a Job],
        accepted: &mut Vec<(&'a Job, PublishAck)>,
    ) -> Result<bool, QueueError> {
        let mut sent = Vec::with_capacity(jobs.len());
        for job in jobs {
            let message = messages::job(job, &key(job.task_id))?;
            sent.push((*job, self.connection.send(self.names.job_subject(&job.model), message).await?));
        }
        let mut fits = true;
        for (job, publishing) in sent {
            match answer(publishing).await? {
                Published::Accepted(ack) if ack.duplicate => fits &= self.accept_again(job, ack, accepted).await?,
                Published::Accepted(ack) => accepted.push((job, ack)),
                Published::Full | Published::Conflict => fits = false,
            }
        }
        Ok(fits)
    }

    /// The server has seen this task id within its window. Usually that job waits or is done; after a `clear`, or when it
    /// was taken back, nothing is left of it and it is published as another message.
    async fn accept_again<'a>(
        &self,
        job: &'a Job,
        seen: PublishAck,
        accepted: &mut Vec<(&'a Job, PublishAck)>,
    ) -> Result<bool, QueueError> {
        if self.states.get(job.task_id).await?.is_some() {
            return Ok(true);
        }
        if self.waits(seen.sequence).await? {
            accepted.push((job, seen));
            return Ok(true);
        }
        let message = messages::job(job, &format!("{}-{}", key(job.task_id), Uuid::new_v4().simple()))?;
        match self.connection.publish(self.names.job_subject(&job.model), message).await? {
            Published::Accepted(ack) => {
                accepted.push((job, ack));
                Ok(true)
            }
            Published::Full | Published::Conflict => Ok(false),
        }
    }

    /// Whether the stream still has this message.
    async fn waits(&self, sequence: u64) -> Result<bool, QueueError> {
        let found = async {
            let stream = self.connection.context.get_stream_no_info(self.names.jobs()).await?;
            match stream.get_raw_message(sequence).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
                Err(error) => Err(Box::<dyn std::error::Error + Send + Sync>::from(error)),
            }
        };
        self.connection.call("look up a job", found).await
    }

    /// Refuses before anything is sent what can't fit.
    async fn check_room(&self, jobs: u64) -> Result<(), QueueError> {
        let info = streams::info(&self.connection, self.names.jobs()).await?;
        let limit = info.config.max_messages.max(0) as u64;
        if limit > 0 && info.state.messages + jobs > limit {
            return Err(QueueError::Full { limit });
        }
        Ok(())
    }

    async fn max_jobs(&self) -> Result<u64, QueueError> {
        let info = streams::info(&self.connection, self.names.jobs()).await?;
        Ok(info.config.max_messages.max(0) as u64)
    }

    /// Others filled the stream meanwhile: what was accepted goes, unless a worker has done it already.
    async fn take_back(&self, accepted: &[(&Job, PublishAck)]) -> Result<(), QueueError> {
        for (_, ack) in accepted {
            states::delete(&self.connection, self.names.jobs(), ack.sequence).await?;
        }
        Ok(())
    }

    /// Waits until the projection knows what is in the bucket.
    pub(super) async fn built(&self) -> Result<(), QueueError> {
        tokio::time::timeout(self.connection.timeout, self.projection.wait_built())
            .await
            .map_err(|elapsed| unavailable("the task states are not read yet", elapsed))
    }

    pub(super) async fn remove_job(&self, sequence: u64) -> Result<(), QueueError> {
        delete(&self.connection, self.names.jobs(), sequence).await
    }
}
