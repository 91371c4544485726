//! Jobs as messages: what is in their body and headers.

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use shared::{FailureCode, Job, TaskFailure};

use super::states::to_json;
use crate::queue::QueueError;

/// Of job messages, dead letters and task states. Grows when an older version could not read them.
pub(super) const SCHEMA: u32 = 1;
pub(super) const SCHEMA_HEADER: &str = "Imagesearch-Schema";
/// W3C trace context of the request that made the job.
const TRACE_HEADER: &str = "traceparent";
/// Why a job is a dead letter: the stable code, and the sentence.
const REASON_HEADER: &str = "Imagesearch-Reason";
const DETAIL_HEADER: &str = "Imagesearch-Detail";
const ATTEMPTS_HEADER: &str = "Imagesearch-Attempts";
/// Headers are for reading, not for keeping documents in.
const MAX_DETAIL_CHARS: usize = 2000;

/// The message of a job. `message_id` is the task id but for a job that is published again on purpose.
pub(super) fn job(job: &Job, message_id: &str) -> Result<PublishMessage, QueueError> {
    let mut message =
        PublishMessage::build().payload(to_json(job)?).message_id(message_id).header(SCHEMA_HEADER, SCHEMA.to_string());
    if let Some(traceparent) = &job.traceparent {
        message = message.header(TRACE_HEADER, one_line(traceparent).as_str());
    }
    Ok(message)
}

/// The dead letter of a job: the job as it was, so that it can be published again, and the reason in the headers.
pub(super) fn dead_letter(dead: &Job, failure: &TaskFailure, attempts: u32) -> Result<PublishMessage, QueueError> {
    let message = job(dead, &format!("dead-{}", dead.task_id.0))?;
    Ok(with_reason(message, failure).header(ATTEMPTS_HEADER, attempts.to_string()))
}

/// The dead letter of a message that is no job.
pub(super) fn unreadable(message: &async_nats::Message, message_id: &str, reason: &str) -> PublishMessage {
    let failure = TaskFailure { code: FailureCode::Internal, detail: format!("the message is not a job: {reason}") };
    let letter = PublishMessage::build().payload(message.payload.clone()).message_id(format!("dead-{message_id}"));
    with_reason(letter, &failure)
}

fn with_reason(message: PublishMessage, failure: &TaskFailure) -> PublishMessage {
    let code = serde_json::to_value(failure.code).ok().and_then(|code| code.as_str().map(str::to_owned));
    message
        .header(REASON_HEADER, code.unwrap_or_default().as_str())
        .header(DETAIL_HEADER, one_line(&failure.detail).as_str())
}

/// What is in a delivered message.
pub(super) enum Content {
    Job(Box<Job>),
    /// Written by a newer version: for a worker of that version.
    Newer(u32),
    Unreadable(String),
}

pub(super) fn read(message: &async_nats::Message) -> Content {
    let schema = message.headers.as_ref().and_then(|headers| header(headers, SCHEMA_HEADER)?.parse().ok());
    if let Some(newer) = schema.filter(|schema| *schema > SCHEMA) {
        return Content::Newer(newer);
    }
    match serde_json::from_slice(&message.payload) {
        Ok(job) => Content::Job(Box::new(job)),
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

/// A header's value can't hold line breaks.
fn one_line(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
