#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use serde_json::json;
use shared::{CopyId, ImageId};

use super::{CheckReport, Checked, Differences, check};
use crate::{
    keys,
    objects::PutCondition,
    survey::SurveyOptions,
    testing::{BROKEN, World, everything},
};

async fn checked(world: &World, deep: bool, mend: bool) -> Checked {
    let options = SurveyOptions { deep, ..everything() };
    check(&world.stores, &world.collection, options, mend, &|_| {}).await.unwrap()
}

/// A world with one fault of each kind, beside images without any.
async fn damaged_world() -> World {
    let world = World::start().await;
    let (objects, records) = (&world.stores.objects, &world.stores.records);
    let mut made = Vec::new();
    for name in ["sound", "deleted", "stale", "half deleted", "without bytes", "rotten"] {
        made.push(world.upload(name.as_bytes()).await);
    }
    world.upload(BROKEN).await;
    world.work().await;
    world.delete(made[1].image_id).await;
    world.upload(b"waiting").await;

    world.store(b"without job").await;
    records.change_metadata(made[2].image_id, &json!({"caption": "new"})).await.unwrap();
    records.delete(made[3].image_id).await.unwrap();
    let original = |position: usize| keys::original(made[position].image_id, made[position].original.unwrap());
    objects.delete(&original(4)).await.unwrap();
    objects.put(&original(5), Bytes::from("rottem"), PutCondition::None).await.unwrap();
    let stray = keys::original(ImageId::of(b"stray"), CopyId::new());
    objects.put(&stray, Bytes::from("stray"), PutCondition::None).await.unwrap();
    world
}

#[tokio::test]
async fn a_check_finds_every_kind_of_fault_and_changes_nothing() {
    let world = damaged_world().await;
    for _ in 0..2 {
        let Checked { found, left } = checked(&world, true, false).await;
        assert_eq!(left, None);
        let expected = Differences {
            not_indexed: 1,
            stale_documents: 1,
            not_forgotten: 1,
            originals_missing: 1,
            originals_damaged: 1,
            stray_originals: 1,
            records_damaged: 0,
        };
        assert_eq!(found.differences, expected);
        assert_eq!((found.indexed, found.waiting, found.failed, found.deleted), (1, 1, 1, 1));
        assert_eq!(found.examples.len(), 6);
    }
    let shallow = checked(&world, false, false).await;
    assert_eq!((shallow.found.differences.originals_damaged, shallow.differences()), (0, 5));
}

#[tokio::test]
async fn a_repair_ends_at_no_difference() {
    let world = damaged_world().await;
    let repaired = checked(&world, true, true).await;
    assert_eq!((repaired.found.differences.total(), repaired.differences()), (6, 0));
    world.work().await;
    let Checked { found, .. } = checked(&world, true, true).await;
    let expected = CheckReport { indexed: 4, failed: 3, deleted: 2, ..CheckReport::default() };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_left_to_a_person() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    world.stores.objects.put(&keys::record(record.image_id), Bytes::from("{"), PutCondition::None).await.unwrap();
    let repaired = checked(&world, true, true).await;
    assert_eq!(repaired.differences(), 1);
    assert!(repaired.found.examples[0].contains(&record.image_id.to_string()));
    assert_eq!(world.originals().await.len(), 1, "its bytes are kept");

    world.stores.records.delete(record.image_id).await.unwrap();
    assert_eq!(checked(&world, true, true).await.differences(), 0);
}
