#![allow(clippy::unwrap_used)]

use std::time::Duration;

use jiff::Timestamp;
use shared::{Job, JobSource, Metadata, ModelFingerprint, TaskId, TaskStatus};

use super::{Reindexing, begin, enqueue_all};
use crate::{
    repair::WhenFull,
    testing::{BROKEN, DIMENSION, World, model},
};

async fn begun(world: World) -> World {
    let World { folder, config, stores, collection, projection, rebuild } = world;
    drop((collection, projection));
    let collection = begin(&stores, &model(), DIMENSION).await.unwrap();
    let projection = stores.projection(&collection);
    World { folder, config, stores, collection, projection, rebuild }
}

#[tokio::test]
async fn index_and_task_states_come_back_from_the_objects_alone() {
    let world = World::start().await;
    let kept = world.upload(b"kept").await;
    let deleted = world.upload(b"deleted").await;
    world.upload(BROKEN).await;
    world.work().await;
    world.delete(deleted.image_id).await;

    let world = begun(world).await;
    assert_eq!(world.collection.count(None).await.unwrap(), 0);
    let done = enqueue_all(&world.stores, &model(), WhenFull::Leave, &|_| {}).await.unwrap();
    assert_eq!(done, Reindexing { enqueued: 2, deleted: 1, ..Reindexing::default() });
    assert_eq!(world.work().await, 2);
    assert!(world.is_indexed(kept.image_id).await);
    assert_eq!(world.collection.count(None).await.unwrap(), 1);
    let counts = world.stores.queue.counts().await.unwrap();
    for (status, count) in counts {
        let expected = u64::from(matches!(status, TaskStatus::Indexed | TaskStatus::Failed));
        assert_eq!(count, expected, "{status:?}");
    }
}

#[tokio::test]
async fn a_rebuild_that_is_bigger_than_the_queue_waits_for_workers() {
    let world = World::start().await;
    let mut config = world.config.clone();
    config.queue = shared::config::Queue::Sqlite { path: None, max_jobs: 3, keep_tasks: 100 };
    let folder = world.folder.clone();
    drop(world);
    let world = begun(World::open(folder, config).await).await;
    for number in 0..10_u8 {
        world.store(&[number]).await;
    }
    let (stores, model) = (world.stores.clone(), model());
    let making = tokio::spawn(async move { enqueue_all(&stores, &model, WhenFull::Wait, &|_| {}).await.unwrap() });
    let mut done = 0;
    while done < 10 {
        done += world.work().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(making.await.unwrap(), Reindexing { enqueued: 10, ..Reindexing::default() });
    assert_eq!(world.collection.count(None).await.unwrap(), 10);
}

#[tokio::test]
async fn urls_that_were_accepted_and_not_fetched_outlive_a_rebuild_and_a_change_of_model() {
    let world = World::start().await;
    let source =
        JobSource::Url { url: "https://example.org/giraffe.jpg".parse().unwrap(), metadata: Metadata::default() };
    let (task_id, created) = (TaskId::new(), Timestamp::now());
    let other = ModelFingerprint("ffffffffffffffff".into());
    let job = Job { task_id, model: other, source, name: None, created, traceparent: None };
    world.stores.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();

    let world = begun(world).await;
    let leases = world.stores.queue.lease(&model(), 10, Duration::from_mins(1), Duration::ZERO).await.unwrap();
    let jobs: Vec<_> = leases.into_iter().map(|lease| lease.job).collect();
    assert_eq!(jobs, [Job { model: model(), ..job }]);
}
