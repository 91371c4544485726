//! The streams are as configured, keep no less than they did, and forget what is too old.

use std::time::Duration;

use async_nats::jetstream::stream::{Placement, StorageType};
use shared::{
    TaskStatus,
    config::{Jetstream, JetstreamStorage},
};

use super::{jobs_info, open, refusal, until_within};
use crate::queue::{
    JobQueue,
    conformance::{LONG, count, indexed, lease_all, lease_one, stored, task_of},
    jetstream::{JetstreamQueue, server::namespace, streams},
};

#[tokio::test]
async fn larger_limits_are_applied_and_smaller_ones_are_not() {
    let config = Jetstream { max_jobs: 10, keep_tasks: 10, keep_tasks_for_s: 1000, ..namespace().await };
    let queue = open(&config).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let limits = async |queue: &JetstreamQueue| {
        let dead = streams::info(&queue.inner.connection, queue.inner.names.dead()).await.unwrap().config;
        (jobs_info(queue).await.config.max_messages, dead.max_messages, dead.max_age.as_secs())
    };
    assert_eq!(limits(&queue).await, (10, 10, 1000));
    let larger = Jetstream { max_jobs: 20, keep_tasks: 30, keep_tasks_for_s: 2000, ..config.clone() };
    assert_eq!(limits(&open(&larger).await).await, (20, 30, 2000));
    assert_eq!(limits(&open(&config).await).await, (20, 30, 2000));
    lease_all(&queue, 1).await;
}

#[tokio::test]
async fn a_stream_of_another_kind_is_refused_with_the_setting_named() {
    let config = namespace().await;
    let queue = open(&config).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let message = refusal(&Jetstream { storage: JetstreamStorage::Memory, ..config.clone() }).await;
    assert!(message.contains("queue.storage"), "{message}");
    assert_eq!(jobs_info(&queue).await.config.storage, StorageType::File);
    let message = refusal(&Jetstream { name: "two words".into(), ..config }).await;
    assert!(message.contains("queue.name"), "{message}");
}

#[tokio::test]
async fn streams_are_placed_as_configured() {
    // A server alone keeps every stream, and what it was told of where: a cluster would go by that.
    let server = servers::nats(&[]).await;
    let config = Jetstream {
        servers: vec![server.url()],
        placement_cluster: Some("east".into()),
        placement_tags: vec!["ssd".into(), "images".into()],
        ..Jetstream::default()
    };
    let placements = async |queue: &JetstreamQueue| {
        let names = &queue.inner.names;
        let mut found = Vec::new();
        for name in [names.jobs(), names.dead(), names.tasks()] {
            found.push(streams::info(&queue.inner.connection, name).await.unwrap().config.placement);
        }
        found
    };
    let expected = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        vec![Some(Placement { cluster: Some("east".into()), tags }); 3]
    };
    assert_eq!(placements(&open(&config).await).await, expected(&["ssd", "images"]));
    let moved = Jetstream { placement_tags: vec!["hdd".into()], ..config };
    assert_eq!(placements(&open(&moved).await).await, expected(&["hdd"]));
}

#[tokio::test]
async fn what_ended_too_long_ago_goes_from_the_bucket_and_what_ended_later_stays() {
    let queue = open(&Jetstream { keep_tasks_for_s: 1, ..namespace().await }).await;
    let finish = async |number: u64| {
        let job = stored(number);
        queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
        queue.finish(&lease_one(&queue, LONG).await, indexed(number)).await.unwrap();
        job
    };
    let older = finish(1).await;
    // So that more than a second lies between the two, by the server's clock, which stands still after the newer.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let newer = finish(2).await;
    // If the end of the newer comes too soon to tell how late it is, whoever looks each minute finds the older.
    until_within(Duration::from_mins(2), 1, async || {
        streams::info(&queue.inner.connection, queue.inner.names.tasks()).await.unwrap().state.messages
    })
    .await;
    assert_eq!(queue.task(older.task_id).await.unwrap(), None);
    assert_eq!(task_of(&queue, &newer).await.status, TaskStatus::Indexed);
    assert_eq!(count(&queue, TaskStatus::Indexed).await, 1);
}
