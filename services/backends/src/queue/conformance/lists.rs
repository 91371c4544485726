//! Behaviours of task states: what users see of the jobs, and what is kept of them.

use futures::StreamExt;
use shared::{FailureCode, TaskStatus};
use tokio::time::timeout;

use super::*;
use crate::queue::{QueueDepth, QueueError, TaskQuery};

pub(crate) async fn a_task_of_an_image_is_live_until_it_ends(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let live = async || queue.live_task(image(1), &model()).await.unwrap().map(|task| (task.task_id, task.status));
    assert_eq!(live().await, None);
    let job = stored(1);
    queue.enqueue(&[job.clone(), stored(2)]).await.unwrap();
    assert_eq!(live().await, Some((job.task_id, TaskStatus::Queued)));
    let lease = lease_one(&*queue, LONG).await;
    assert_eq!(live().await, Some((job.task_id, TaskStatus::Processing)));
    queue.finish(&lease, Outcome::Superseded).await.unwrap();
    assert_eq!(live().await, None);
}

pub(crate) async fn a_url_job_learns_its_image(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let job = from_url("https://example.org/giraffe.jpg");
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(task_of(&*queue, &job).await.image_id, None);
    let lease = lease_one(&*queue, LONG).await;
    queue.set_image_id(&lease, image(7)).await.unwrap();
    assert_eq!(task_of(&*queue, &job).await.image_id, Some(image(7)));
    assert_eq!(queue.live_task(image(7), &model()).await.unwrap().map(|task| task.task_id), Some(job.task_id));
    queue.finish(&lease, Outcome::Duplicate(result(8))).await.unwrap();
    let task = task_of(&*queue, &job).await;
    assert_eq!((task.status, task.image_id, task.result), (TaskStatus::Duplicate, Some(image(8)), Some(result(8))));
}

pub(crate) async fn tasks_are_listed_newest_first_by_page(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let jobs: Vec<Job> = (0..7).map(stored).collect();
    queue.enqueue(&jobs).await.unwrap();
    let mut query = TaskQuery { limit: 3, ..TaskQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = queue.tasks(&query).await.unwrap();
        pages.push(page.tasks.iter().map(|task| task.task_id).collect::<Vec<_>>());
        // What comes meanwhile is newer than the cursor and doesn't shift the pages.
        queue.enqueue(&[stored(100 + pages.len() as u64)]).await.unwrap();
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(pages.concat(), jobs.iter().rev().map(|job| job.task_id).collect::<Vec<_>>());
}

pub(crate) async fn tasks_are_listed_by_status(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&(0..4).map(stored).collect::<Vec<_>>()).await.unwrap();
    let failed = lease_one(&*queue, LONG).await;
    queue.finish(&failed, Outcome::Failed(failure(FailureCode::TooLarge))).await.unwrap();
    let held = lease_one(&*queue, LONG).await;
    let listed = async |status| {
        let page = queue.tasks(&TaskQuery { status: Some(status), cursor: None, limit: 2 }).await.unwrap();
        page.tasks.iter().map(|task| task.task_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(TaskStatus::Failed).await, [failed.job.task_id]);
    assert_eq!(listed(TaskStatus::Processing).await, [held.job.task_id]);
    assert_eq!(listed(TaskStatus::Queued).await.len(), 2);
    assert!(listed(TaskStatus::Indexed).await.is_empty());
}

pub(crate) async fn a_foreign_cursor_is_refused(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let query = TaskQuery { cursor: Some("not a cursor".into()), limit: 10, status: None };
    assert!(matches!(queue.tasks(&query).await, Err(QueueError::Cursor)));
}

pub(crate) async fn counts_and_depth_follow_the_jobs(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    assert_eq!(queue.depth().await.unwrap(), QueueDepth::default());
    let old = Job { created: Timestamp::now() - Duration::from_secs(90), ..stored(0) };
    queue.enqueue(&[old, stored(1), stored(2)]).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.queued, depth.in_flight), (3, 0));
    assert!(depth.oldest >= Duration::from_secs(90), "{:?}", depth.oldest);

    let lease = lease_one(&*queue, LONG).await;
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.queued, depth.in_flight), (2, 1));
    assert!(depth.oldest < Duration::from_secs(90), "the oldest is being worked on: {:?}", depth.oldest);

    queue.finish(&lease, indexed(0)).await.unwrap();
    let counts = queue.counts().await.unwrap();
    assert_eq!(counts.len(), TaskStatus::ALL.len());
    assert!(counts.contains(&(TaskStatus::Queued, 2)) && counts.contains(&(TaskStatus::Indexed, 1)), "{counts:?}");
    assert!(counts.contains(&(TaskStatus::Processing, 0)), "{counts:?}");
}

pub(crate) async fn changes_are_streamed_in_order(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(0)]).await.unwrap();
    let mut changes = queue.changes();
    let waiting = lease_one(&*queue, LONG).await;
    queue.hand_back(&waiting).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    queue.retry(&lease, Duration::ZERO, failure(FailureCode::FetchFailed)).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    queue.finish(&lease, indexed(0)).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&(TaskStatus::Indexed, 2)) {
        let task = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        assert_eq!(task.task_id, lease.job.task_id);
        seen.push((task.status, task.attempts));
    }
    let states: Vec<String> = seen.iter().map(|(status, attempts)| format!("{} {attempts}", status.as_str())).collect();
    assert_eq!(states, ["processing 1", "queued 0", "processing 1", "queued 1", "processing 2", "indexed 2"]);
}

pub(crate) async fn a_slow_reader_loses_the_oldest_changes_only(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits { max_jobs: 10_000, keep_tasks: 10_000 }).await;
    let mut changes = queue.changes();
    let jobs: Vec<Job> = (0..5000).map(stored).collect();
    queue.enqueue(&jobs).await.unwrap();
    let last = jobs[4999].task_id;
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        seen.push(timeout(PATIENCE, changes.next()).await.unwrap().unwrap().task_id);
    }
    let newest: Vec<_> = jobs[5000 - seen.len()..].iter().map(|job| job.task_id).collect();
    assert_eq!(seen, newest);
}

pub(crate) async fn ended_tasks_are_kept_up_to_a_number(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits { keep_tasks: 3, ..Limits::default() }).await;
    let jobs: Vec<Job> = (0..6).map(stored).collect();
    queue.enqueue(&jobs).await.unwrap();
    let leases = lease_all(&*queue, 6).await;
    queue.finish(&leases[0], Outcome::Failed(failure(FailureCode::Corrupt))).await.unwrap();
    // They end in another order than they came.
    for number in [4, 1, 2, 3] {
        queue.finish(&leases[number], indexed(number as u64)).await.unwrap();
    }
    assert_eq!(count(&*queue, TaskStatus::Indexed).await, 3);
    assert!(queue.task(jobs[4].task_id).await.unwrap().is_none(), "the first that was done is forgotten");
    assert_eq!(task_of(&*queue, &jobs[0]).await.status, TaskStatus::Failed, "successes don't push out failures");
    assert_eq!(task_of(&*queue, &jobs[5]).await.status, TaskStatus::Processing, "what is alive is kept");
}

pub(crate) async fn a_cleared_queue_is_empty_and_takes_jobs(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.enqueue(&[stored(0), stored(1)]).await.unwrap();
    let lease = lease_one(&*queue, LONG).await;
    queue.clear().await.unwrap();
    assert!(queue.counts().await.unwrap().iter().all(|(_, count)| *count == 0));
    assert!(lease_ready(&*queue).await.is_empty());
    assert!(matches!(queue.finish(&lease, indexed(0)).await, Err(QueueError::LeaseLost(_))));
    queue.enqueue(std::slice::from_ref(&lease.job)).await.unwrap();
    assert_eq!(lease_one(&*queue, LONG).await.attempt, 1);
}

pub(crate) async fn a_cleared_queue_keeps_the_urls_that_are_not_fetched(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let [waiting, fetched, ended] =
        ["waiting", "fetched", "ended"].map(|name| from_url(&format!("https://a.org/{name}")));
    queue.enqueue(&[ended.clone(), fetched.clone()]).await.unwrap();
    let leases = lease_all(&*queue, 2).await;
    queue.finish(&leases[0], Outcome::Failed(failure(FailureCode::FetchFailed))).await.unwrap();
    queue.set_image_id(&leases[1], image(1)).await.unwrap();
    queue.enqueue(&[waiting.clone(), stored(2)]).await.unwrap();
    queue.clear().await.unwrap();
    assert_eq!(lease_all(&*queue, 1).await.into_iter().map(|lease| lease.job).collect::<Vec<_>>(), [waiting]);
    for job in [fetched, ended] {
        assert_eq!(queue.task(job.task_id).await.unwrap(), None);
    }
}

pub(crate) async fn a_model_that_adopts_the_jobs_of_others_gets_them(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    let other = ModelFingerprint("fedcba9876543210".into());
    let job = Job { model: other.clone(), ..stored(1) };
    queue.enqueue(&[job.clone(), stored(2)]).await.unwrap();
    let (model, wait) = (model(), PATIENCE);
    let first = lease_one(&*queue, LONG).await;
    let waiting = queue.lease(&model, 10, LONG, wait);
    let (leases, adopted) = futures::join!(waiting, queue.adopt(&model));
    adopted.unwrap();
    let leases = leases.unwrap();
    assert_eq!(leases[0].job, Job { model: model.clone(), ..job });
    assert!(queue.live_task(image(1), &model).await.unwrap().is_some());
    assert!(queue.lease(&other, 10, LONG, Duration::ZERO).await.unwrap().is_empty());
    // What a worker has stays its own.
    queue.finish(&first, indexed(2)).await.unwrap();
}

pub(crate) async fn a_queue_that_takes_jobs_is_ready(open: impl AsyncFn(Limits) -> Opened) {
    let queue = open(Limits::default()).await;
    queue.ready().await.unwrap();
}
