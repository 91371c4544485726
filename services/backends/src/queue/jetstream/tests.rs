//! The JetStream queue does what every queue must, and what only a server far away can do wrong is handled.

#![allow(clippy::unwrap_used)]

mod access;
mod consumers;
mod limits;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::join_all};
use shared::{FailureCode, Job, Task, TaskFailure, TaskStatus, config::Jetstream};
use tokio::time::{Instant, timeout};

use super::{
    JetstreamQueue, messages,
    server::namespace,
    states::{self, key},
    streams,
};
use crate::queue::{
    JobQueue, Outcome, QueueError, TaskQuery,
    conformance::{
        LONG, Limits, Opened, PATIENCE, SHORT, conformance, count, from_url, image, indexed, lease_all, lease_one,
        lease_ready, model, stored, task_of,
    },
};

conformance!(open_fresh);

async fn open_fresh(limits: Limits) -> Opened {
    let config = Jetstream { max_jobs: limits.max_jobs, keep_tasks: limits.keep_tasks, ..namespace().await };
    Opened { queue: Arc::new(open(&config).await), _kept: Box::new(()) }
}

async fn open(config: &Jetstream) -> JetstreamQueue {
    JetstreamQueue::open(config).await.unwrap()
}

async fn refusal(config: &Jetstream) -> String {
    let error = JetstreamQueue::open(config).await.err().unwrap();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error}");
    format!("{error}: {source}")
}

/// Asks until the answer is the one that is waited for.
async fn until<T: PartialEq + std::fmt::Debug>(expected: T, ask: impl AsyncFn() -> T) {
    until_within(PATIENCE, expected, ask).await;
}

async fn until_within<T: PartialEq + std::fmt::Debug>(patience: Duration, expected: T, ask: impl AsyncFn() -> T) {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if answer == expected {
            return;
        }
        assert!(begun.elapsed() < patience, "{answer:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn jobs_info(queue: &JetstreamQueue) -> async_nats::jetstream::stream::Info {
    streams::info(&queue.inner.connection, queue.inner.names.jobs()).await.unwrap()
}

/// Publishes a job as a process does that dies before it writes the state.
async fn publish_only(queue: &JetstreamQueue, job: &Job) {
    let message = messages::job(job, &key(job.task_id)).unwrap();
    let subject = queue.inner.names.job_subject(&job.model);
    queue.inner.connection.publish(subject, message).await.unwrap();
}

/// Works until every job of the queue is done; says which it did.
async fn work(queue: &dyn JobQueue, all: u64, duration: Duration) -> Vec<Job> {
    let mut done = Vec::new();
    while count(queue, TaskStatus::Indexed).await < all {
        let Ok(leases) = queue.lease(&model(), 3, duration, SHORT).await else { continue };
        for lease in leases {
            if queue.finish(&lease, indexed(0)).await.is_ok() {
                done.push(lease.job);
            }
        }
    }
    done
}

#[tokio::test]
async fn two_processes_share_the_jobs_without_double_work() {
    let config = namespace().await;
    let (one, other) = (open(&config).await, open(&config).await);
    let jobs: Vec<Job> = (0..100).map(stored).collect();
    one.enqueue(&jobs[..50]).await.unwrap();
    other.enqueue(&jobs[50..]).await.unwrap();
    let (by_one, by_other) = futures::join!(work(&one, 100, LONG), work(&other, 100, LONG));
    let done: BTreeSet<_> = by_one.iter().chain(&by_other).map(|job| job.task_id).collect();
    assert_eq!((done.len(), by_one.len() + by_other.len()), (100, 100));
    assert!(!by_one.is_empty() && !by_other.is_empty(), "{} and {}", by_one.len(), by_other.len());
}

#[tokio::test]
async fn a_killed_server_loses_nothing_and_both_processes_go_on_by_themselves() {
    let mut server = servers::nats(&[]).await;
    let config = Jetstream { servers: vec![server.url()], timeout_ms: 1000, ..Jetstream::default() };
    let (one, other) = (open(&config).await, open(&config).await);
    let jobs: Vec<Job> = (0..40).map(stored).collect();
    one.enqueue(&jobs[..30]).await.unwrap();
    let held = one.lease(&model(), 5, SHORT * 10, PATIENCE).await.unwrap();
    assert_eq!(held.len(), 5);

    server.kill();
    let begun = Instant::now();
    let refused = one.enqueue(&jobs[30..]).await;
    assert!(matches!(refused, Err(QueueError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(other.ready().await, Err(QueueError::Unavailable { .. })));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // A list is answered from what is known.
    assert_eq!(other.tasks(&TaskQuery { limit: 100, ..TaskQuery::default() }).await.unwrap().tasks.len(), 30);

    server.restart().await;
    let begun = Instant::now();
    until(true, async || one.ready().await.is_ok() && other.ready().await.is_ok()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    one.enqueue(&jobs[30..]).await.unwrap();
    futures::join!(work(&one, 40, SHORT * 10), work(&other, 40, SHORT * 10));
    for job in &jobs {
        assert_eq!(task_of(&other, job).await.status, TaskStatus::Indexed);
    }
    assert_eq!(jobs_info(&one).await.state.messages, 0);
}

#[tokio::test]
async fn a_job_whose_state_was_not_written_is_delivered_and_finishes() {
    let queue = open(&namespace().await).await;
    let job = stored(1);
    publish_only(&queue, &job).await;
    assert_eq!(queue.task(job.task_id).await.unwrap(), None);
    let lease = lease_one(&queue, LONG).await;
    assert_eq!((&lease.job, lease.attempt), (&job, 1));
    // The publisher tries again, or was only slow.
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(task_of(&queue, &job).await.status, TaskStatus::Processing);
    queue.finish(&lease, indexed(1)).await.unwrap();
    assert!(lease_ready(&queue).await.is_empty());
    assert_eq!(jobs_info(&queue).await.state.messages, 0);
}

#[tokio::test]
async fn a_publisher_that_tries_again_writes_the_state_it_did_not_get_to() {
    let queue = open(&namespace().await).await;
    let job = stored(1);
    publish_only(&queue, &job).await;
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(task_of(&queue, &job).await.status, TaskStatus::Queued);
    lease_all(&queue, 1).await;
}

#[tokio::test]
async fn a_full_stream_refuses_whole_batches_of_all_processes_and_drops_nothing() {
    let config = Jetstream { max_jobs: 100, ..namespace().await };
    let (one, other) = (open(&config).await, open(&config).await);
    let batches: Vec<Vec<Job>> =
        (0..20).map(|batch| (0..9).map(|number| stored(batch * 9 + number)).collect()).collect();
    let queues = [&one, &other];
    let answers = join_all(batches.iter().enumerate().map(|(at, batch)| queues[at % 2].enqueue(batch))).await;
    let mut accepted = BTreeSet::new();
    for (batch, answer) in batches.iter().zip(&answers) {
        match answer {
            Ok(()) => accepted.extend(batch.iter().map(|job| job.task_id)),
            Err(error) => assert!(matches!(error, QueueError::Full { limit: 100 }), "{error}"),
        }
    }
    assert!(!accepted.is_empty() && accepted.len() <= 100);
    let delivered: BTreeSet<_> = lease_all(&one, accepted.len()).await.iter().map(|lease| lease.job.task_id).collect();
    assert_eq!(delivered, accepted);
}

#[tokio::test]
async fn a_failed_job_is_a_dead_letter_with_its_reason_once() {
    let queue = open(&namespace().await).await;
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let lease = lease_one(&queue, LONG).await;
    let reason = TaskFailure { code: FailureCode::Corrupt, detail: "cannot be decoded:\r\nline two".into() };
    queue.finish(&lease, Outcome::Failed(reason.clone())).await.unwrap();
    // As when the acknowledgement was lost: delivered again though the task is over.
    let again = messages::job(&job, "again").unwrap();
    queue.inner.connection.publish(queue.inner.names.job_subject(&model()), again).await.unwrap();
    // A consumer may hear of a message a moment after the publisher.
    until(0, async || {
        assert!(lease_ready(&queue).await.is_empty());
        jobs_info(&queue).await.state.messages
    })
    .await;

    let dead = queue.inner.connection.context.get_stream(queue.inner.names.dead()).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 1);
    let subject = queue.inner.names.dead_subject(&model(), &key(job.task_id));
    let letter = dead.get_last_raw_message_by_subject(&subject).await.unwrap();
    let header = |name: &str| letter.headers.get(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<Job>(&letter.payload).unwrap(), job);
    assert_eq!(header("Imagesearch-Reason"), "corrupt");
    assert_eq!(header("Imagesearch-Detail"), "cannot be decoded:  line two");
    assert_eq!((header("Imagesearch-Schema"), header("Imagesearch-Attempts")), ("1".into(), "1".into()));
    assert_eq!(header("traceparent"), job.traceparent.unwrap());
    assert_eq!(queue.task(job.task_id).await.unwrap().unwrap().error, Some(reason));
}

#[tokio::test]
async fn jobs_carry_their_trace_and_schema_in_headers() {
    let queue = open(&namespace().await).await;
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let stream = queue.inner.connection.context.get_stream(queue.inner.names.jobs()).await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
    assert_eq!(header("Nats-Msg-Id"), job.task_id.0.to_string());
    assert_eq!((header("traceparent"), header("Imagesearch-Schema")), (job.traceparent.unwrap(), "1".into()));
}

#[tokio::test]
async fn a_task_id_is_one_job_for_all_processes_and_a_new_upload_another() {
    let config = namespace().await;
    let (one, other) = (open(&config).await, open(&config).await);
    let job = stored(1);
    let jobs = std::slice::from_ref(&job);
    // At the same time: neither projection knows of it yet.
    let (first, second) = futures::join!(one.enqueue(jobs), other.enqueue(jobs));
    first.unwrap();
    second.unwrap();
    let leases = lease_all(&one, 1).await;
    one.finish(&leases[0], Outcome::Superseded).await.unwrap();
    other.enqueue(jobs).await.unwrap();
    assert!(lease_ready(&other).await.is_empty());

    // Deleted and uploaded again: the same image within the window, as another task.
    let again = Job { task_id: shared::TaskId::new(), ..job.clone() };
    other.enqueue(std::slice::from_ref(&again)).await.unwrap();
    assert_eq!(lease_one(&one, LONG).await.job, again);
}

#[tokio::test]
async fn a_task_id_is_one_job_after_the_window_too() {
    let queue = open(&Jetstream { duplicate_window_s: 1, ..namespace().await }).await;
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    lease_all(&queue, 1).await;
}

#[tokio::test]
async fn what_another_process_does_is_seen() {
    let config = Jetstream { keep_tasks: 2, ..namespace().await };
    let (one, other) = (open(&config).await, open(&config).await);
    until(true, async || other.counts().await.is_ok()).await;
    let mut changes = other.changes();
    let jobs: Vec<Job> = (0..4).map(stored).collect();
    one.enqueue(&jobs).await.unwrap();
    until(4, async || count(&other, TaskStatus::Queued).await).await;
    let change = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
    assert_eq!((change.task_id, change.status), (jobs[0].task_id, TaskStatus::Queued));
    assert!(other.live_task(image(0), &model()).await.unwrap().is_some());
    for lease in lease_all(&one, 4).await {
        one.finish(&lease, indexed(0)).await.unwrap();
    }
    // What is not kept is forgotten by both, and gone from the bucket.
    until((0, 2), async || (count(&other, TaskStatus::Processing).await, count(&other, TaskStatus::Indexed).await))
        .await;
    let bucket = streams::info(&one.inner.connection, one.inner.names.tasks()).await.unwrap();
    assert_eq!(bucket.state.messages, 2);

    let url = from_url("https://example.org/waits.jpg");
    other.enqueue(std::slice::from_ref(&url)).await.unwrap();
    until(1, async || count(&one, TaskStatus::Queued).await).await;
    one.clear().await.unwrap();
    until((0, 1), async || (count(&other, TaskStatus::Indexed).await, count(&other, TaskStatus::Queued).await)).await;
    let late = open(&config).await;
    assert_eq!((count(&late, TaskStatus::Indexed).await, count(&late, TaskStatus::Queued).await), (0, 1));
    assert_eq!(lease_one(&late, LONG).await.job, url);
}

#[tokio::test]
async fn a_process_that_starts_reads_what_is_there() {
    let config = namespace().await;
    let queue = open(&config).await;
    queue.enqueue(&(0..20).map(stored).collect::<Vec<_>>()).await.unwrap();
    let lease = lease_one(&queue, LONG).await;
    let long = TaskFailure { code: FailureCode::FetchFailed, detail: "é".repeat(5000) };
    queue.finish(&lease, Outcome::Failed(long.clone())).await.unwrap();
    let late = open(&config).await;
    assert_eq!(count(&late, TaskStatus::Queued).await, 19);
    let query = TaskQuery { status: Some(TaskStatus::Failed), cursor: None, limit: 10 };
    let listed: Vec<Task> = late.tasks(&query).await.unwrap().tasks;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].error, Some(long), "not only what is kept in memory");
}

#[tokio::test]
async fn a_message_that_is_no_job_stops_nothing_and_a_newer_one_waits() {
    let queue = open(&namespace().await).await;
    let subject = queue.inner.names.job_subject(&model());
    let context = &queue.inner.connection.context;
    context.publish(subject.clone(), "not a job".into()).await.unwrap().await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Imagesearch-Schema", "2");
    context.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(lease_one(&queue, LONG).await.job, job);
    until((1, 2), async || {
        assert!(lease_ready(&queue).await.is_empty());
        let dead = streams::info(&queue.inner.connection, queue.inner.names.dead()).await.unwrap();
        (dead.state.messages, jobs_info(&queue).await.state.messages)
    })
    .await;
}

#[tokio::test]
async fn removing_what_is_gone_is_no_error() {
    let queue = open(&namespace().await).await;
    queue.enqueue(&[stored(1), stored(2)]).await.unwrap();
    for sequence in [1, 1, 99] {
        states::delete(&queue.inner.connection, queue.inner.names.jobs(), sequence).await.unwrap();
    }
    lease_all(&queue, 1).await;
    states::delete(&queue.inner.connection, "nowhere".into(), 1).await.unwrap_err();
}

#[tokio::test]
async fn a_full_queue_can_be_adopted() {
    let queue = open(&Jetstream { max_jobs: 3, ..namespace().await }).await;
    let other = shared::ModelFingerprint("fedcba9876543210".into());
    let jobs: Vec<Job> = (0..3).map(|number| Job { model: other.clone(), ..stored(number) }).collect();
    queue.enqueue(&jobs).await.unwrap();
    queue.adopt(&model()).await.unwrap();
    assert_eq!(jobs_info(&queue).await.config.max_messages, 3);
    let leases = lease_all(&queue, 3).await;
    for (lease, job) in leases.iter().zip(&jobs) {
        assert_eq!(lease.job, Job { model: model(), ..job.clone() });
    }
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[tokio::test]
#[ignore = "a hundred thousand tasks take a minute; its numbers are in docs/performance.md"]
async fn a_hundred_thousand_tasks_are_listed_in_time_and_memory() {
    let config = Jetstream { max_jobs: 200_000, timeout_ms: 60_000, ..namespace().await };
    // What the writer needed and gave back is in it too.
    let before = resident_mib();
    let writer = open(&config).await;
    let begun = Instant::now();
    for batch in 0..100 {
        writer.enqueue(&(0..1000).map(|number| stored(batch * 1000 + number)).collect::<Vec<_>>()).await.unwrap();
    }
    println!("accepted in {:?}", begun.elapsed());
    drop(writer);
    let begun = Instant::now();
    let queue = open(&config).await;
    // Nothing has waited since `open` started to read them, so with the one thread of a test none can be read yet.
    assert!(queue.inner.projection.wait_built().now_or_never().is_none(), "`open` waits for the task states");
    assert_eq!(count(&queue, TaskStatus::Queued).await, 100_000);
    let (built, grown) = (begun.elapsed(), resident_mib() - before);
    println!("built in {built:?}, {grown:.0} MiB");
    assert!(grown <= 100.0, "{grown} MiB");
    let mut query = TaskQuery { status: Some(TaskStatus::Queued), cursor: None, limit: 1000 };
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let begun = Instant::now();
        let page = queue.tasks(&query).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        assert_eq!(page.tasks.len(), 1000);
        query.cursor = page.next_cursor;
    }
    println!("slowest page of 1000: {slowest:?}");
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
}
