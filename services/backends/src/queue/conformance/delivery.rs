//! Behaviours of delivery: who gets a job, when again, and when never again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Instant,
};

use futures::future::{join_all, try_join_all};
use shared::{FailureCode, TaskId, TaskStatus};

use super::*;
use crate::queue::QueueError;

pub(crate) async fn a_job_goes_from_queued_over_processing_to_indexed(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let task = task_of(&*queue, &job).await;
    assert_eq!((task.status, task.attempts, task.image_id), (TaskStatus::Queued, 0, Some(image(1))));
    assert_eq!((&task.name, task.created), (&job.name, job.created));

    let lease = lease_one(&*queue, LONG).await;
    assert_eq!((&lease.job, lease.attempt), (&job, 1));
    let task = task_of(&*queue, &job).await;
    assert_eq!((task.status, task.attempts), (TaskStatus::Processing, 1));

    queue.finish(&lease, indexed(1)).await.unwrap();
    let task = task_of(&*queue, &job).await;
    assert_eq!((task.status, task.result, task.error), (TaskStatus::Indexed, Some(result(1)), None));
    assert!(task.updated >= task.created);
    assert!(lease_ready(&*queue).await.is_empty());
}

pub(crate) async fn jobs_are_leased_oldest_first_and_once(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let jobs: Vec<Job> = (0..5).map(stored).collect();
    queue.enqueue(&jobs[..3]).await.unwrap();
    queue.enqueue(&jobs[3..]).await.unwrap();
    let first = queue.lease(&model(), 2, LONG, PATIENCE).await.unwrap();
    let rest = lease_ready(&*queue).await;
    let leased: Vec<Job> = first.into_iter().chain(rest).map(|lease| lease.job).collect();
    assert_eq!(leased, jobs);
}

pub(crate) async fn an_expired_lease_is_redelivered_once(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let lost = lease_one(&*queue, SHORT).await;
    // Two workers wait while it runs out: one of them gets it.
    let wait = || queue.lease(&lost.job.model, 1, LONG, SHORT * 10);
    let (one, other) = futures::join!(wait(), wait());
    let again: Vec<Lease> = one.unwrap().into_iter().chain(other.unwrap()).collect();
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].job.task_id, again[0].attempt), (lost.job.task_id, 2));
    assert_ne!(again[0].token, lost.token);
    queue.finish(&again[0], indexed(1)).await.unwrap();
}

pub(crate) async fn an_old_token_has_lost_the_lease(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let old = lease_one(&*queue, SHORT).await;
    let new = lease_one(&*queue, LONG).await;
    for lease in [&old, &Lease { token: String::new(), ..old.clone() }] {
        assert_lost(&queue.extend(lease, LONG).await);
        assert_lost(&queue.set_image_id(lease, image(2)).await);
        assert_lost(&queue.retry(lease, Duration::ZERO, failure(FailureCode::Internal)).await);
        assert_lost(&queue.hand_back(lease).await);
        assert_lost(&queue.finish(lease, Outcome::Superseded).await);
    }
    queue.finish(&new, indexed(1)).await.unwrap();
    // Over: now the new token is an old one too.
    assert_lost(&queue.finish(&new, Outcome::Superseded).await);
    assert_eq!(task_of(&*queue, &new.job).await.status, TaskStatus::Indexed);
}

fn assert_lost(answer: &Result<(), QueueError>) {
    assert!(matches!(answer, Err(QueueError::LeaseLost(_))), "{answer:?}");
}

pub(crate) async fn a_heartbeat_keeps_the_lease(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let lease = lease_one(&*queue, SHORT * 10).await;
    queue.extend(&lease, LONG).await.unwrap();
    assert!(queue.lease(&model(), 1, LONG, SHORT * 12).await.unwrap().is_empty());
    queue.finish(&lease, indexed(1)).await.unwrap();
}

pub(crate) async fn a_lease_request_waits_for_the_first_job(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let job = stored(1);
    let jobs = [job.clone()];
    let (lease, enqueued) = futures::join!(lease_one(&*queue, LONG), queue.enqueue(&jobs));
    enqueued.unwrap();
    assert_eq!(lease.job, job);
}

pub(crate) async fn a_lease_request_ends_empty_when_nothing_comes(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let begun = Instant::now();
    assert!(queue.lease(&model(), 1, LONG, SHORT).await.unwrap().is_empty());
    assert!(begun.elapsed() >= SHORT);
    assert!(queue.lease(&model(), 0, LONG, LONG).await.unwrap().is_empty());
}

pub(crate) async fn a_cancelled_lease_request_takes_no_job_with_it(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&(0..20).map(stored).collect::<Vec<_>>()).await.unwrap();
    for _ in 0..20 {
        // Dropped after its first step: the request may be under way, the answer comes too late.
        let model = model();
        let mut request = queue.lease(&model, 1, LONG, PATIENCE);
        let _ = futures::poll!(&mut request);
    }
    let mut ids = BTreeSet::new();
    while ids.len() < 20 {
        let lease = lease_one(&*queue, LONG).await;
        assert_eq!(lease.attempt, 1);
        ids.insert(lease.job.task_id);
    }
}

pub(crate) async fn a_delayed_retry_waits_and_counts_as_an_attempt(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    let begun = Instant::now();
    queue.retry(&lease, SHORT, failure(FailureCode::Internal)).await.unwrap();
    let task = task_of(&*queue, &lease.job).await;
    assert_eq!((task.status, task.attempts), (TaskStatus::Queued, 1));
    assert_eq!(task.error, Some(failure(FailureCode::Internal)));

    let again = lease_one(&*queue, LONG).await;
    assert!(begun.elapsed() >= SHORT);
    assert_eq!((again.job.task_id, again.attempt), (lease.job.task_id, 2));
    queue.finish(&again, indexed(1)).await.unwrap();
    assert_eq!(task_of(&*queue, &lease.job).await.error, None);
}

pub(crate) async fn a_job_handed_back_is_ready_at_once_and_does_not_count(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    queue.hand_back(&lease).await.unwrap();
    let task = task_of(&*queue, &lease.job).await;
    assert_eq!((task.status, task.attempts), (TaskStatus::Queued, 0));
    let again = lease_ready(&*queue).await;
    assert_eq!((again[0].job.task_id, again[0].attempt), (lease.job.task_id, 1));
}

pub(crate) async fn a_failed_job_is_kept_with_its_reason_and_not_delivered(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    queue.finish(&lease, Outcome::Failed(failure(FailureCode::Corrupt))).await.unwrap();
    let task = task_of(&*queue, &lease.job).await;
    assert_eq!((task.status, task.error), (TaskStatus::Failed, Some(failure(FailureCode::Corrupt))));
    assert!(lease_ready(&*queue).await.is_empty());
}

pub(crate) async fn a_full_queue_refuses_all_and_drops_nothing(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits { max_jobs: 3, ..Limits::default() }).await;
    queue.enqueue(&[stored(1), stored(2)]).await.unwrap();
    let refused = queue.enqueue(&[stored(3), stored(4)]).await;
    assert!(matches!(refused, Err(QueueError::Full { limit: 3 })), "{refused:?}");
    assert_eq!(count(&*queue, TaskStatus::Queued).await, 2);

    queue.enqueue(&[stored(5)]).await.unwrap();
    let leases = lease_ready(&*queue).await;
    // In flight is not over yet.
    assert!(matches!(queue.enqueue(&[stored(6)]).await, Err(QueueError::Full { .. })));
    // What was accepted is accepted again, also now.
    queue.enqueue(&[leases[0].job.clone()]).await.unwrap();
    queue.finish(&leases[0], indexed(1)).await.unwrap();
    queue.enqueue(&[stored(6)]).await.unwrap();
}

pub(crate) async fn a_task_id_is_delivered_once_however_often_it_is_enqueued(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let job = stored(1);
    queue.enqueue(&[job.clone(), job.clone()]).await.unwrap();
    queue.enqueue(&[job.clone(), stored(2)]).await.unwrap();
    let leases = lease_ready(&*queue).await;
    assert_eq!(leases.len(), 2);
    queue.finish(&leases[0], indexed(1)).await.unwrap();
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert!(lease_ready(&*queue).await.is_empty());
    assert_eq!(task_of(&*queue, &job).await.status, TaskStatus::Indexed);
}

pub(crate) async fn models_do_not_take_each_others_jobs(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let other = ModelFingerprint("fedcba9876543210".into());
    let job = Job { model: other.clone(), ..stored(1) };
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert!(lease_ready(&*queue).await.is_empty());
    assert!(queue.live_task(image(1), &model()).await.unwrap().is_none());
    let leases = queue.lease(&other, 10, LONG, PATIENCE).await.unwrap();
    assert_eq!(leases[0].job, job);
    assert!(queue.live_task(image(1), &other).await.unwrap().is_some());
}

/// The kind of nats.go#1929: what is fetched and waits its turn is not delivered to another, since it is kept alive.
pub(crate) async fn ten_jobs_with_a_short_lease_are_done_once_by_two_workers(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let jobs: Vec<Job> = (0..10).map(stored).collect();
    queue.enqueue(&jobs).await.unwrap();
    let done = Mutex::new(BTreeMap::<TaskId, u32>::new());
    let lease_time = SHORT * 10;
    let worker = || async {
        let mut mine = queue.lease(&model(), 5, lease_time, PATIENCE).await.unwrap();
        while let Some(lease) = mine.pop() {
            // Five of them take longer than the lease, so the last would be lost without heartbeats.
            for _ in 0..3 {
                tokio::time::sleep(SHORT).await;
                try_join_all(mine.iter().chain([&lease]).map(|held| queue.extend(held, lease_time))).await.unwrap();
            }
            queue.finish(&lease, indexed(0)).await.unwrap();
            *done.lock().unwrap().entry(lease.job.task_id).or_default() += 1;
        }
    };
    futures::join!(worker(), worker());
    let done = done.into_inner().unwrap();
    assert_eq!(done, jobs.iter().map(|job| (job.task_id, 1)).collect());
    for job in &jobs {
        assert_eq!(task_of(&*queue, job).await.attempts, 1);
    }
}

/// The kind of newchat#346: while the index is down every delivery fails, and the delay keeps them few.
pub(crate) async fn a_transient_fault_of_the_index_loses_no_job(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&(0..20).map(stored).collect::<Vec<_>>()).await.unwrap();
    let back_up = Instant::now() + SHORT * 5;
    let mut left = 20;
    while left > 0 {
        for lease in queue.lease(&model(), 20, LONG, PATIENCE).await.unwrap() {
            assert!(lease.attempt <= 7, "one delivery a delay, not one a moment");
            if Instant::now() < back_up {
                queue.retry(&lease, SHORT, failure(FailureCode::Internal)).await.unwrap();
            } else {
                queue.finish(&lease, indexed(0)).await.unwrap();
                left -= 1;
            }
        }
    }
    assert_eq!(count(&*queue, TaskStatus::Indexed).await, 20);
}

pub(crate) async fn concurrent_enqueues_are_all_kept(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits { max_jobs: 100, ..Limits::default() }).await;
    let jobs: Vec<[Job; 1]> = (0..150).map(|number| [stored(number)]).collect();
    let answers = join_all(jobs.iter().map(|job| queue.enqueue(job))).await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 100);
    lease_all(&*queue, 100).await;
}
