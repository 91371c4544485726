//! Processes that die at the worst moment for one image, which nobody sends again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::StatusCode;
use shared::{FailureCode, ImageId};

use super::gate::Gate;
use crate::{
    cluster::{Cluster, DEADLINE, PART_BYTES, photos},
    load::Promises,
    starting::begin_upload,
};

/// With one attempt for each job.
const CRASHES: usize = 4;
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the sweep leaves it alone for a minute; `make test-all` runs it"]
async fn an_image_that_was_stored_and_not_queued_is_indexed_by_the_sweep() {
    let mut cluster = Cluster::start(1).await;
    let (_, mut bytes) = photos().swap_remove(0);
    bytes.resize(3 * PART_BYTES, 0);
    let id = ImageId::of(&bytes).to_string();
    // The queue is looked at before an upload is taken, and used when all of it is there.
    let (go_on, upload) = begin_upload(&cluster, &bytes);
    let started = Instant::now();
    while cluster.stores.unfinished_uploads().await.is_empty() {
        assert!(started.elapsed() < DEADLINE, "its first half is not taken");
        tokio::time::sleep(PAUSE).await;
    }
    cluster.stores.nats.kill();
    go_on.send(()).unwrap();
    cluster.until_picture(&id, StatusCode::OK).await;
    cluster.ingestapi.kill();
    let killed = Timestamp::now();
    let heard = upload.await.unwrap();
    assert!(!heard.is_ok_and(|answer| answer.status().is_success()), "it is acknowledged without a job");

    cluster.stores.nats.restart().await;
    cluster.ingestapi.start_again();
    cluster.until_ready().await;
    let started = Instant::now();
    while cluster.indexed().await != [id.clone()] {
        assert!(started.elapsed() < DEADLINE, "the sweep does not find it");
        tokio::time::sleep(PAUSE).await;
    }
    let mut promises = Promises::default();
    promises.acknowledge(id.clone());
    promises.check(&mut cluster).await;
    let tasks = cluster.tasks().await;
    let [task] = &tasks[..] else { panic!("it has more than one task") };
    assert_eq!(task["image_id"], id.as_str());
    let created: Timestamp = task["created"].as_str().unwrap().parse().unwrap();
    assert!(created > killed, "the upload has left a job");
    assert_eq!(cluster.ingestapi.metric("imagesearch_sweep_images_total").await["enqueued"], 1);
    cluster.stores.until_no_more_is_left_than(&BTreeSet::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "waits for leases to run out; `make test-all` runs it"]
async fn an_image_that_takes_down_each_of_its_workers_fails_and_may_be_sent_again() {
    let mut cluster = Cluster::start(0).await;
    let mut gate = Gate::before(&cluster.stores.s3).await;
    let patience = ("IMAGESEARCH_OBJECTS__TIMEOUT_MS", "60000");
    let attempts = ("IMAGESEARCH_INGESTWORKER__MAX_ATTEMPTS", "1");
    cluster.add_worker(&[("IMAGESEARCH_OBJECTS__ENDPOINT", gate.url.as_str()), patience, attempts]);
    let (name, bytes) = photos().swap_remove(0);
    let upload = cluster.upload(&name, bytes.clone()).await;
    for _ in 0..CRASHES {
        gate.asked().await;
        cluster.workers[0].kill();
        cluster.workers[0].start_again();
    }
    let task_id = upload["task_id"].as_str().unwrap();
    let mut promises = Promises::default();
    promises.expect_failed(task_id, FailureCode::RetriesExhausted);
    promises.check(&mut cluster).await;
    let task = cluster.task(task_id).await;
    assert_eq!(task["attempts"], CRASHES + 1, "{task}");
    assert!(task["error"]["detail"].as_str().unwrap().contains("4 workers stopped"), "{task}");

    cluster.workers.clear();
    cluster.add_worker(&[]);
    let again = cluster.upload(&name, bytes).await;
    assert_eq!((&again["status"], &again["image_id"]), (&"queued".into(), &upload["image_id"]));
    let mut promises = Promises::default();
    promises.acknowledge(again["image_id"].as_str().unwrap().to_owned());
    promises.check(&mut cluster).await;
}
