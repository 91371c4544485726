#![allow(clippy::unwrap_used)]

use shared::{FailureCode, ImageId, ModelFingerprint, TaskFailure};

use super::*;
use crate::{
    active::ActiveCollections,
    index::Point,
    projection::{Embedded, job_for},
    queue::Outcome,
    testing::World,
};

const STRAY_AFTER: Duration = Duration::from_hours(1);
const DIMENSION: usize = 4;

fn next_model() -> ModelFingerprint {
    ModelFingerprint("fedcba9876543210".into())
}

async fn other(world: &World) -> Arc<dyn Collection> {
    world.stores.open_collection(&next_model(), DIMENSION).await.unwrap().collection
}

/// How many the second lacks of the first, and the first of the second.
async fn count_lacking(one: &dyn Collection, other: &dyn Collection) -> (usize, usize) {
    let here = lacking(one, other, usize::MAX).await.unwrap();
    (here.len(), lacking(other, one, usize::MAX).await.unwrap().len())
}

/// Does the jobs of the other model.
async fn work(world: &World, collection: &Arc<dyn Collection>) -> usize {
    let (queue, minute) = (&world.stores.queue, Duration::from_mins(1));
    let mut done = 0;
    loop {
        let leases = queue.lease(&next_model(), 100, minute, Duration::ZERO).await.unwrap();
        if leases.is_empty() {
            return done;
        }
        for lease in leases {
            let image_id = lease.job.source.image_id().unwrap();
            let record = world.stores.records.get(image_id).await.unwrap().unwrap();
            let image = Embedded { record, vector: vec![1.0, 0.0, 0.0, 0.0] };
            world.stores.projection(collection).present(collection.as_ref(), &[image]).await.unwrap();
            queue.finish(&lease, Outcome::Superseded).await.unwrap();
            done += 1;
        }
    }
}

#[tokio::test]
async fn a_collection_is_filled_with_what_it_lacks_also_with_what_was_uploaded_just_now() {
    let world = World::start().await;
    for number in 0..300_u32 {
        world.upload(&number.to_le_bytes()).await;
    }
    world.work().await;
    let deleted = ImageId::of(&7_u32.to_le_bytes());
    world.stores.records.delete(deleted).await.unwrap();
    world.projection.align(deleted).await.unwrap();

    let collection = other(&world).await;
    let (current, next) = (world.collection.as_ref(), collection.as_ref());
    assert_eq!(lacking(current, next, usize::MAX).await.unwrap().len(), 299);
    assert_eq!(fill(&world.stores, &collection, STRAY_AFTER).await.unwrap(), 299);
    assert_eq!(fill(&world.stores, &collection, STRAY_AFTER).await.unwrap(), 0, "all have their jobs");
    assert_eq!(work(&world, &collection).await, 299);
    assert_eq!(count_lacking(current, next).await, (0, 0));

    // As many images, one of which is a newer version in one of them.
    let mut document = collection.get(ImageId::of(&8_u32.to_le_bytes())).await.unwrap().unwrap().document;
    document.version.0 += 1;
    let vector = vec![0.0, 1.0, 0.0, 0.0];
    collection.upsert(&[Point { vector, document }]).await.unwrap();
    assert_eq!(count_lacking(current, next).await, (0, 1));
}

#[tokio::test]
async fn an_image_whose_job_waits_gets_no_second_one_and_one_whose_job_has_failed_does() {
    let world = World::start().await;
    world.upload(b"one").await;
    world.work().await;
    let collection = other(&world).await;
    let made = async || fill(&world.stores, &collection, STRAY_AFTER).await.unwrap();
    assert_eq!((made().await, made().await), (1, 0));
    for _ in 0..2 {
        let leases = world.stores.queue.lease(&next_model(), 1, Duration::from_mins(1), Duration::ZERO).await.unwrap();
        let failure = TaskFailure { code: FailureCode::Internal, detail: "no vector".into() };
        world.stores.queue.finish(&leases[0], Outcome::Failed(failure)).await.unwrap();
        assert_eq!((made().await, made().await), (1, 0));
    }
}

#[tokio::test]
async fn deletes_and_changes_reach_every_active_collection_and_uploads_get_a_job_for_each() {
    let world = World::start().await;
    let active = ActiveCollections::new(world.collection.clone());
    let projection = world.stores.projection(active.clone());
    let record = world.upload(b"one").await;
    world.work().await;
    let collection = other(&world).await;
    active.add(&collection);
    assert_eq!(fill(&world.stores, &collection, STRAY_AFTER).await.unwrap(), 1);
    work(&world, &collection).await;

    let record_2 = world.store(b"two").await;
    projection.enqueue_beside(&world.collection.spec().model, &record_2).await.unwrap();
    world.stores.queue.enqueue(&[job_for(&record_2, &world.collection.spec().model)]).await.unwrap();
    assert_eq!((world.work().await, work(&world, &collection).await), (1, 1));

    let patch = serde_json::json!({ "caption": "changed" });
    let changed = world.stores.records.change_metadata(record.image_id, &patch).await.unwrap();
    projection.align(record.image_id).await.unwrap();
    for collection in active.all().iter() {
        let point = collection.get(record.image_id).await.unwrap().unwrap();
        assert_eq!(point.document.version, changed.version);
    }
    world.stores.records.delete(record.image_id).await.unwrap();
    projection.align(record.image_id).await.unwrap();
    for collection in active.all().iter() {
        assert!(collection.get(record.image_id).await.unwrap().is_none());
        assert_eq!(collection.count(None).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn the_searched_collection_comes_first_and_is_never_let_go() {
    let world = World::start().await;
    let collection = other(&world).await;
    let active = ActiveCollections::new(world.collection.clone());
    let models = || active.all().iter().map(|collection| collection.spec().model.clone()).collect::<Vec<_>>();
    let first = world.collection.spec().model.clone();
    active.add(&collection);
    active.add(&collection);
    assert_eq!(models(), [first.clone(), next_model()]);
    active.search(&next_model());
    assert_eq!(models(), [next_model(), first.clone()]);
    active.remove(&next_model());
    assert_eq!(models().len(), 2);
    active.remove(&first);
    assert_eq!(models(), [next_model()]);
}
