//! The SQLite queue does what every queue must, and what only a file can do wrong is handled.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::join_all;
use shared::{FailureCode, Job, TaskStatus};
use tempfile::TempDir;

use super::SqliteQueue;
use crate::queue::{
    JobQueue, QueueError,
    conformance::{LONG, Limits, Opened, conformance, count, failure, lease_one, lease_ready, stored, task_of},
};

conformance!(open_fresh);

fn open_fresh(limits: Limits) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let queue = SqliteQueue::open(&file_in(&folder), limits.max_jobs, limits.keep_tasks).unwrap();
    Opened { queue: Arc::new(queue), _kept: Box::new(folder) }
}

fn file_in(folder: &TempDir) -> Utf8PathBuf {
    Utf8Path::from_path(folder.path()).unwrap().join("stores/queue.sqlite")
}

fn open(path: &Utf8Path) -> SqliteQueue {
    SqliteQueue::open(path, 1000, 1000).unwrap()
}

/// What a process that is killed now leaves behind, in a folder of its own.
pub(super) fn crashed_copy(path: &Utf8Path, folder: &TempDir) -> Utf8PathBuf {
    let copy = file_in(folder);
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(format!("{path}{suffix}"), format!("{copy}{suffix}")).unwrap();
    }
    copy
}

fn refusal(path: &Utf8Path) -> String {
    let error = SqliteQueue::open(path, 1, 1).err().unwrap();
    assert!(matches!(error, QueueError::Unavailable { .. }));
    error.to_string()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_leases_end_with_the_process() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = file_in(&folder);
    let queue = open(&path);
    let jobs: Vec<Job> = (0..3).map(stored).collect();
    queue.enqueue(&jobs).await.unwrap();
    let held = lease_one(&queue, LONG).await;
    let delayed = lease_one(&queue, LONG).await;
    queue.retry(&delayed, LONG, failure(FailureCode::Internal)).await.unwrap();

    let reopened = open(&crashed_copy(&path, &other));
    let ready = lease_ready(&reopened).await;
    let ready: Vec<_> = ready.iter().map(|lease| (lease.job.task_id, lease.attempt)).collect();
    assert_eq!(ready, [(held.job.task_id, 2), (jobs[2].task_id, 1)], "the delayed one still waits");
    assert_eq!(task_of(&reopened, &delayed.job).await.error, Some(failure(FailureCode::Internal)));
}

#[test]
fn a_damaged_file_is_left_alone_and_the_way_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let damaged = b"this was a database once".repeat(300);
    fs::write(&path, &damaged).unwrap();
    let message = refusal(&path);
    assert!(message.contains("damaged") && message.contains("`imagesearch reindex`"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), damaged);
}

#[tokio::test]
async fn damage_that_shows_later_names_the_way_out_too() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&file_in(&folder));
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let garble =
        |batch: &mut super::writer::Batch<'_>| Ok(Ok(batch.connection.execute("UPDATE tasks SET job = '{'", [])?));
    queue.writer.write(garble).await.unwrap();
    let message = queue.task(job.task_id).await.unwrap_err().to_string();
    assert!(message.contains("damaged") && message.contains("`imagesearch reindex`"), "{message}");
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    assert!(refusal(&path).contains("newer imagesearch"));
}

#[tokio::test]
async fn a_full_disk_is_a_clean_error_and_nothing_of_the_write_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&file_in(&folder));
    let limit_pages = async |pages: u32| {
        let set = move |batch: &mut super::writer::Batch<'_>| {
            Ok(Ok(batch.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?))
        };
        queue.writer.write(set).await.unwrap();
    };
    limit_pages(1).await; // As many as there are.
    let jobs: Vec<Job> = (0..100).map(stored).collect();
    let refused = queue.enqueue(&jobs).await.unwrap_err();
    assert!(refused.to_string().contains("no space left"), "{refused}");
    assert_eq!(count(&queue, TaskStatus::Queued).await, 0);

    limit_pages(1_000_000).await;
    queue.enqueue(&jobs).await.unwrap();
    assert_eq!(lease_ready(&queue).await.len(), 100);
}

#[tokio::test]
async fn writes_that_come_at_once_share_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&file_in(&folder));
    let jobs: Vec<[Job; 1]> = (0..200).map(|number| [stored(number)]).collect();
    for answer in join_all(jobs.iter().map(|job| queue.enqueue(job))).await {
        answer.unwrap();
    }
    // All writes of a transaction carry its time.
    let mut times = BTreeSet::new();
    for [job] in &jobs {
        times.insert(task_of(&queue, job).await.updated);
    }
    assert!(times.len() < 50, "{} transactions", times.len());
}

#[tokio::test]
async fn readiness_is_shown_by_a_write_that_reaches_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let queue = open(&path);
    let log_bytes = || fs::metadata(format!("{path}-wal")).unwrap().len();
    let before = log_bytes();
    queue.ready().await.unwrap();
    assert!(log_bytes() > before);
}

#[tokio::test]
async fn closing_waits_for_what_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_in(&folder);
    let queue = open(&path);
    assert_eq!(count(&queue, TaskStatus::Queued).await, 0);
    {
        let jobs = [stored(1)];
        let mut enqueue = queue.enqueue(&jobs);
        let _ = futures::poll!(&mut enqueue);
    }
    drop(queue);
    assert!(!fs::exists(format!("{path}-wal")).unwrap(), "the file was closed");
    assert_eq!(lease_ready(&open(&path)).await.len(), 1);
}

#[tokio::test]
async fn the_stream_of_changes_ends_with_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&file_in(&folder));
    let changes = queue.changes();
    drop(queue);
    let ended = tokio::time::timeout(Duration::from_secs(30), futures::StreamExt::count(changes)).await;
    assert_eq!(ended.unwrap(), 0);
}
