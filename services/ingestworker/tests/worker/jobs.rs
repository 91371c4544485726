//! Jobs from their lease to their end, whatever comes in between.

use std::{collections::HashSet, sync::Arc, time::Duration};

use backends::{index::Collection, keys};
use futures::{FutureExt, StreamExt, future::join_all};
use ingestapi::ingest::{Accepted, FileInfo};
use serde_json::json;
use shared::{FailureCode, Metadata, TaskStatus, filter};
use tokio::time::timeout;

use crate::world::{Silent, World, photo};

#[tokio::test]
async fn uploads_are_found_once_their_task_says_indexed() {
    let world = World::start().await;
    let worker = world.worker();
    let photos = ["cat.jpg", "bison.jpg", "chameleon.jpg", "africa.jpg"];
    let uploads = join_all(photos.map(|name| world.upload(photo(name)))).await;
    for (task_id, image_id) in uploads {
        let task = world.ended(task_id).await;
        assert_eq!(task.status, TaskStatus::Indexed, "{task:?}");
        assert_eq!(task.result.expect("a result").url, format!("/images/{image_id}"));
        assert!(world.is_indexed(image_id).await);
        let record = world.stores.records.get(image_id).await.unwrap().expect("a record");
        let facts = record.document().and_then(|document| document.facts.clone()).expect("facts");
        assert!(facts.width > 0 && !facts.thumbhash.is_empty() && facts.exif_date.is_none());
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_delete_wins_over_an_ingest_in_flight() {
    let world = World::start().await;
    world.collection.hold();
    let worker = world.worker();
    let (task_id, image_id) = world.upload(photo("b_giraffe.jpg")).await;
    world.collection.reached().await;

    world.ingest.delete(image_id).await.expect("deleted");
    world.collection.release();

    assert_eq!(world.ended(task_id).await.status, TaskStatus::Superseded);
    assert!(!world.is_indexed(image_id).await);
    worker.drain().await;
}

#[tokio::test]
async fn an_image_uploaded_again_after_its_delete_is_indexed() {
    let world = World::start().await;
    world.collection.hold();
    let worker = world.worker();
    let (first, image_id) = world.upload(photo("cat.jpg")).await;
    world.collection.reached().await;
    world.ingest.delete(image_id).await.expect("deleted");
    let (second, _) = world.upload(photo("cat.jpg")).await;
    world.collection.release();

    assert!(!world.ended(first).await.status.is_alive());
    assert_eq!(world.ended(second).await.status, TaskStatus::Indexed);
    assert!(world.is_indexed(image_id).await);
    worker.drain().await;
}

#[tokio::test]
async fn an_index_that_is_away_for_a_while_loses_nothing() {
    let world = World::with(|config| config.ingestworker.max_attempts = 100).await;
    world.collection.fail(12);
    let worker = world.worker();
    let uploads = join_all(["cat.jpg", "bison.jpg", "africa.jpg"].map(|name| world.upload(photo(name)))).await;
    for (task_id, image_id) in uploads {
        assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
        assert!(world.is_indexed(image_id).await);
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_fault_that_stays_ends_with_its_reason_and_a_new_upload_tries_again() {
    let world = World::with(|config| config.ingestworker.max_attempts = 2).await;
    world.collection.fail(usize::MAX);
    let worker = world.worker();
    let (task_id, image_id) = world.upload(photo("cat.jpg")).await;
    let task = world.ended(task_id).await;
    let failure = task.error.expect("a reason");
    assert_eq!((failure.code, task.attempts), (FailureCode::RetriesExhausted, 2));
    assert!(failure.detail.contains("not available"), "{}", failure.detail);

    world.collection.fail(0);
    let (again, _) = world.upload(photo("cat.jpg")).await;
    assert_eq!(world.ended(again).await.status, TaskStatus::Indexed);
    assert!(world.is_indexed(image_id).await);
    worker.drain().await;
}

#[tokio::test]
async fn a_damaged_image_fails_alone_at_once_and_for_good() {
    let world = World::start().await;
    let damaged = photo("bison.jpg").slice(..200);
    let (bad, bad_id) = world.upload(damaged).await;
    let (good, _) = world.upload(photo("cat.jpg")).await;
    let worker = world.worker();
    let task = world.ended(bad).await;
    assert_eq!((task.error.expect("a reason").code, task.attempts), (FailureCode::Corrupt, 1));
    assert_eq!(world.ended(good).await.status, TaskStatus::Indexed);
    let record = world.stores.records.get(bad_id).await.unwrap().expect("a record");
    assert_eq!(record.failure.map(|failure| failure.code), Some(FailureCode::Corrupt));
    worker.drain().await;
}

#[tokio::test]
async fn stored_bytes_that_changed_or_vanished_are_told_apart() {
    let world = World::start().await;
    let (changed, changed_id) = world.upload(photo("cat.jpg")).await;
    let (vanished, vanished_id) = world.upload(photo("bison.jpg")).await;
    let original = async |image_id| {
        let record = world.stores.records.get(image_id).await.unwrap().expect("a record");
        keys::original(image_id, record.original.expect("a copy"))
    };
    let objects = &world.stores.objects;
    let put =
        objects.put(&original(changed_id).await, photo("africa.jpg"), backends::objects::PutCondition::None).await;
    put.expect("replaced");
    assert!(objects.delete(&original(vanished_id).await).await.expect("removed"));
    let worker = world.worker();
    assert_eq!(world.ended(changed).await.error.expect("a reason").code, FailureCode::Corrupt);
    assert_eq!(world.ended(vanished).await.error.expect("a reason").code, FailureCode::OriginalMissing);
    worker.drain().await;
}

#[tokio::test]
async fn leases_are_kept_alive_so_that_slow_work_is_done_once() {
    let world = World::with(|config| config.ingestworker.lease_ms = 300).await;
    world.collection.hold();
    let (first, second) = (world.worker(), world.worker());
    let (task_id, _) = world.upload(photo("cat.jpg")).await;
    world.collection.reached().await;
    // Four leases long: without heartbeats the other worker would have it by then.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.collection.release();
    let task = world.ended(task_id).await;
    assert_eq!((task.status, task.attempts, world.collection.upserts()), (TaskStatus::Indexed, 1, 1));
    first.drain().await;
    second.drain().await;
}

#[tokio::test]
async fn a_job_of_a_worker_that_died_is_delivered_again() {
    let world = World::with(|config| config.ingestworker.lease_ms = 200).await;
    world.collection.hold();
    let doomed = world.worker();
    let (task_id, image_id) = world.upload(photo("cat.jpg")).await;
    world.collection.reached().await;
    doomed.kill();
    world.collection.release();
    let heir = world.worker();
    let task = world.ended(task_id).await;
    assert_eq!((task.status, task.attempts), (TaskStatus::Indexed, 2));
    assert!(world.is_indexed(image_id).await);
    heir.drain().await;
}

#[tokio::test]
async fn a_drain_ends_what_is_in_flight() {
    let world = World::start().await;
    let worker = world.worker();
    let uploads = join_all(["cat.jpg", "bison.jpg"].map(|name| world.upload(photo(name)))).await;
    world.reaches(uploads[0].0, |task| task.status != TaskStatus::Queued).await;
    worker.drain().await;
    let task = world.stores.queue.task(uploads[0].0).await.unwrap().expect("a task");
    assert_eq!(task.status, TaskStatus::Indexed);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_hands_back_what_is_left() {
    let world = World::with(|config| config.ingestworker.drain_timeout_ms = 50).await;
    world.collection.hold();
    let worker = world.worker();
    let (task_id, _) = world.upload(photo("cat.jpg")).await;
    world.collection.reached().await;
    worker.drain().await;
    let task = world.stores.queue.task(task_id).await.unwrap().expect("a task");
    assert_eq!((task.status, task.attempts), (TaskStatus::Queued, 0));

    world.collection.release();
    let heir = world.worker();
    assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
    heir.drain().await;
}

#[tokio::test]
async fn a_drain_ends_though_the_queue_takes_nothing_back_and_the_job_is_delivered_again() {
    let mut world = World::with(|config| {
        config.ingestworker.drain_timeout_ms = 50;
        config.ingestworker.lease_ms = 1000;
    })
    .await;
    let silent = Arc::new(Silent::new(world.stores.queue.clone()));
    world.stores.queue = silent.clone();
    world.collection.hold();
    let worker = world.worker();
    let (task_id, _) = world.upload(photo("cat.jpg")).await;
    world.collection.reached().await;
    timeout(Duration::from_mins(1), worker.drain()).await.expect("the drain ends");
    assert!(silent.asked() > 0);

    world.collection.release();
    let heir = world.worker();
    assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
    heir.drain().await;
}

#[tokio::test]
async fn no_more_jobs_are_leased_than_can_run() {
    let world = World::with(|config| {
        config.ingestworker.max_in_flight = 4;
        config.ingestworker.batch_size = 4;
    })
    .await;
    world.collection.hold();
    let mut changes = world.stores.queue.changes();
    let mut uploads = Vec::new();
    for number in 0..20 {
        // Bytes after the end of a JPEG make it another image.
        uploads.push(world.upload([photo("cat.jpg").as_ref(), &[number]].concat()).await);
    }
    let worker = world.worker();
    let depth = async || {
        let depth = world.stores.queue.depth().await.unwrap();
        (depth.queued, depth.in_flight)
    };
    let leased = async {
        while depth().await != (16, 4) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_mins(1), leased).await.expect("four jobs are leased");
    // As long as two fetches: one that took more than there is room for would be over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(depth().await, (16, 4));

    world.collection.release();
    for (task_id, _) in uploads {
        assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
    }
    worker.drain().await;
    let mut running = HashSet::new();
    while let Some(Some(task)) = changes.next().now_or_never() {
        if task.status == TaskStatus::Processing {
            running.insert(task.task_id);
        } else {
            running.remove(&task.task_id);
        }
        assert!(running.len() <= 4, "{running:?}");
    }
}

#[tokio::test]
async fn uploads_that_race_on_the_same_bytes_end_as_one_image() {
    let world = World::start().await;
    let worker = world.worker();
    let sent = join_all((0..8).map(|_| world.send(photo("cat.jpg"), FileInfo::default()))).await;
    for accepted in sent {
        let (Accepted::Queued { task_id, .. } | Accepted::Duplicate { task_id: Some(task_id), .. }) = accepted else {
            continue;
        };
        assert!(!matches!(world.ended(task_id).await.status, TaskStatus::Failed));
    }
    assert_eq!(world.collection.count(None).await.unwrap(), 1);
    let again = world.send(photo("cat.jpg"), FileInfo::default()).await;
    assert!(matches!(again, Accepted::Duplicate { task_id: None, .. }), "{again:?}");
    worker.drain().await;
}

#[tokio::test]
async fn metadata_changed_before_the_work_is_what_filters_see() {
    let world = World::start().await;
    let before = Metadata { tags: vec!["before".into()], ..Metadata::default() };
    let (task_id, image_id) = world.upload_with(photo("cat.jpg"), before).await;
    world.ingest.change(image_id, json!({"tags": ["after"]})).await.expect("changed");
    let worker = world.worker();
    assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
    let count = async |text: &str| world.collection.count(Some(&filter::parse(text).unwrap())).await.unwrap();
    assert_eq!((count("tags:\"before\"").await, count("tags:\"after\"").await), (0, 1));

    world.ingest.change(image_id, json!({"tags": null, "caption": "a cat"})).await.expect("changed");
    assert_eq!((count("tags:\"after\"").await, count("caption:cat").await), (0, 1));
    worker.drain().await;
}

#[tokio::test]
async fn exif_facts_are_kept_only_when_asked_for() {
    for wanted in [false, true] {
        let world = World::with(|config| {
            config.ingestworker.keep_exif_date = wanted;
            config.ingestworker.keep_exif_location = wanted;
        })
        .await;
        let worker = world.worker();
        let (task_id, image_id) = world.upload(photo("../images/located.jpg")).await;
        assert_eq!(world.ended(task_id).await.status, TaskStatus::Indexed);
        let record = world.stores.records.get(image_id).await.unwrap().expect("a record");
        let facts = record.document().and_then(|document| document.facts.clone()).expect("facts");
        assert_eq!(
            (facts.exif_date.is_some(), facts.latitude.is_some(), facts.longitude.is_some()),
            (wanted, wanted, wanted)
        );
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_photo_cut_short_is_indexed_and_marked_as_partial() {
    let world = World::start().await;
    let worker = world.worker();
    let whole = photo("cat.jpg");
    for kept in [whole.len() - 92, whole.len() / 2] {
        let (task_id, image_id) = world.upload(whole.slice(..kept)).await;
        let task = world.ended(task_id).await;
        assert_eq!((task.status, task.attempts), (TaskStatus::Indexed, 1), "{task:?}");
        let record = world.stores.records.get(image_id).await.unwrap().expect("a record");
        assert!(record.document().and_then(|document| document.facts.as_ref()).expect("facts").partial);
    }
    worker.drain().await;
}
