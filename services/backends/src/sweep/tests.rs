#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use shared::{CopyId, FailureCode, ImageId, config};

use super::{Swept, sweep};
use crate::{
    keys,
    objects::PutCondition,
    survey::SurveyOptions,
    testing::{BROKEN, World, everything},
};

async fn swept(world: &World) -> Swept {
    sweep(&world.stores, &world.collection, everything()).await.unwrap()
}

#[tokio::test]
async fn a_stored_image_without_a_job_gets_one_and_only_one() {
    let world = World::start().await;
    let record = world.store(b"one").await;
    assert_eq!(swept(&world).await, Swept { enqueued: 1, ..Swept::default() });
    assert_eq!(swept(&world).await, Swept::default());
    assert_eq!(world.work().await, 1);
    assert!(world.is_indexed(record.image_id).await);
    assert_eq!(swept(&world).await, Swept::default());
}

#[tokio::test]
async fn what_may_be_under_way_is_left_alone() {
    let world = World::start().await;
    world.store(b"one").await;
    let stray = keys::original(ImageId::of(b"two"), CopyId::new());
    world.stores.objects.put(&stray, Bytes::from("two"), PutCondition::None).await.unwrap();
    for options in
        [SurveyOptions::while_serving(Duration::from_mins(1)), SurveyOptions::alone_since(world.stores.opened)]
    {
        assert_eq!(sweep(&world.stores, &world.collection, options).await.unwrap(), Swept::default());
    }
    assert_eq!(swept(&world).await, Swept { enqueued: 1, mended: 1, ..Swept::default() });
    assert!(!world.originals().await.contains(&stray));
}

#[tokio::test]
async fn a_delete_that_died_half_way_is_finished() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    let variant = keys::variant(record.image_id, "w320.webp").unwrap();
    world.stores.objects.put(&variant, Bytes::from("v"), PutCondition::None).await.unwrap();
    world.stores.records.delete(record.image_id).await.unwrap();

    assert_eq!(swept(&world).await, Swept { mended: 1, ..Swept::default() });
    assert!(!world.is_indexed(record.image_id).await);
    assert_eq!(world.originals().await, []);
    assert_eq!(world.keys(keys::VARIANTS).await, []);
    assert_eq!(swept(&world).await, Swept::default());
}

#[tokio::test]
async fn a_change_that_died_half_way_shows_without_a_new_embedding() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    world.stores.records.change_metadata(record.image_id, &json!({"caption": "new"})).await.unwrap();
    assert_eq!(swept(&world).await, Swept { mended: 1, ..Swept::default() });
    let point = world.collection.get(record.image_id).await.unwrap().unwrap();
    assert_eq!(point.document.metadata.caption.as_deref(), Some("new"));
}

#[tokio::test]
async fn an_index_entry_without_a_record_is_removed() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    world.stores.objects.delete(&keys::record(record.image_id)).await.unwrap();
    // The vector, and the bytes that no record names any more.
    assert_eq!(swept(&world).await, Swept { mended: 2, ..Swept::default() });
    assert!(!world.is_indexed(record.image_id).await);
    assert_eq!(world.originals().await, []);
}

#[tokio::test]
async fn an_image_whose_bytes_are_gone_is_taken_out_with_a_reason() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    world.stores.objects.delete(&keys::original(record.image_id, record.original.unwrap())).await.unwrap();
    assert_eq!(swept(&world).await, Swept { mended: 1, ..Swept::default() });
    let failed = world.stores.records.get(record.image_id).await.unwrap().unwrap();
    assert_eq!(failed.failure.unwrap().code, FailureCode::OriginalMissing);
    assert!(!world.is_indexed(record.image_id).await);
    assert_eq!(swept(&world).await, Swept::default());

    world.upload(b"one").await;
    world.work().await;
    assert!(world.is_indexed(record.image_id).await);
}

#[tokio::test]
async fn an_image_that_failed_for_good_is_not_tried_again() {
    let world = World::start().await;
    world.upload(BROKEN).await;
    assert_eq!(world.work().await, 1);
    assert_eq!(swept(&world).await, Swept::default());
    assert_eq!(world.work().await, 0);
}

#[tokio::test]
async fn a_full_queue_takes_what_it_can_and_the_rest_later() {
    let world = World::start().await;
    let mut config = world.config.clone();
    config.queue = config::Queue::Sqlite { path: None, max_jobs: 5, keep_tasks: 100 };
    let folder = world.folder.clone();
    drop(world);
    let world = World::open(folder, config).await;
    for number in 0..12_u8 {
        world.store(&[number]).await;
    }
    assert_eq!(swept(&world).await, Swept { enqueued: 5, left: 7, ..Swept::default() });
    assert_eq!(world.work().await, 5);
    assert_eq!(swept(&world).await, Swept { enqueued: 5, left: 2, ..Swept::default() });
    world.work().await;
    assert_eq!(swept(&world).await, Swept { enqueued: 2, ..Swept::default() });
    world.work().await;
    assert_eq!(world.collection.count(None).await.unwrap(), 12);
}

#[tokio::test]
async fn what_was_settled_is_not_read_again_unless_something_of_it_is_gone() {
    let world = World::start().await;
    let (kept, lost, bare) = (world.upload(b"one").await, world.upload(b"two").await, world.upload(b"three").await);
    world.work().await;
    // A record that can't be read is a difference wherever it is read.
    for record in [&kept, &lost] {
        let key = keys::record(record.image_id);
        world.stores.objects.put(&key, Bytes::from("damaged"), PutCondition::None).await.unwrap();
    }
    let settled = SurveyOptions { settled_before: jiff::Timestamp::MAX, ..everything() };
    let sweep = async |options| sweep(&world.stores, &world.collection, options).await.unwrap();
    assert_eq!(sweep(settled).await, Swept::default());
    world.collection.delete(&[lost.image_id]).await.unwrap();
    let original = keys::original(bare.image_id, bare.original.unwrap());
    world.stores.objects.delete(&original).await.unwrap();
    let found = sweep(settled).await;
    assert_eq!(found.unmended, 1, "the damaged record of an image without a vector");
    assert_eq!(found.mended, 1, "an image without its bytes");
    assert_eq!(sweep(everything()).await.unmended, 2, "both damaged records");
}
