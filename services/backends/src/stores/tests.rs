#![allow(clippy::unwrap_used)]

use std::fs;

use bytes::Bytes;
use camino::Utf8PathBuf;
use shared::{ModelFingerprint, StoreId, config};

use super::{OpenError, RebuildReason, open};
use crate::{
    keys,
    objects::PutCondition,
    sweep::sweep,
    testing::{BROKEN, DIMENSION, World, everything},
};

#[tokio::test]
async fn a_second_process_is_told_what_to_do() {
    let world = World::start().await;
    let refused = open(&world.config).await.err().unwrap();
    assert!(matches!(refused, OpenError::Lock(_)));
    assert!(refused.to_string().ends_with("is in use by another imagesearch process; stop it first"));
    let (config, _folder) = (world.config.clone(), world.folder.clone());
    drop(world);
    open(&config).await.unwrap();
}

#[tokio::test]
async fn a_restart_finds_the_same_store_and_index() {
    let world = World::start().await;
    assert_eq!(world.rebuild, None);
    let store_id = world.stores.store_id;
    let record = world.upload(b"one").await;
    assert_eq!(world.work().await, 1);
    let world = world.restart_after(|_| {}).await;
    assert_eq!((world.stores.store_id, world.rebuild), (store_id, None));
    assert!(world.is_indexed(record.image_id).await);
}

#[tokio::test]
async fn a_lost_index_is_noticed_and_rebuilt() {
    let world = World::start().await;
    let record = world.upload(b"one").await;
    world.work().await;
    let world = world.restart_after(|config| fs::remove_dir_all(config.data_dir.join("index")).unwrap()).await;
    assert_eq!(world.rebuild, Some(RebuildReason::Lost));
    assert_eq!(sweep(&world.stores, &world.collection, everything()).await.unwrap().enqueued, 1);
    world.work().await;
    assert!(world.is_indexed(record.image_id).await);
}

#[tokio::test]
async fn an_index_of_another_store_is_noticed_and_rebuilt() {
    let world = World::start().await;
    let foreign = world.upload(b"foreign").await;
    world.work().await;
    let world = world.restart_after(|config| fs::remove_dir_all(config.data_dir.join("objects")).unwrap()).await;
    assert_eq!(world.rebuild, Some(RebuildReason::Foreign));
    assert!(!world.is_indexed(foreign.image_id).await);
    assert_eq!(world.collection.count(None).await.unwrap(), 0);
}

#[tokio::test]
async fn an_empty_index_is_not_lost_where_nothing_can_be_indexed() {
    let world = World::start().await;
    let deleted = world.upload(b"one").await;
    world.upload(BROKEN).await;
    world.work().await;
    world.delete(deleted.image_id).await;
    assert_eq!(world.restart_after(|_| {}).await.rebuild, None);
}

#[tokio::test]
async fn an_identity_that_cannot_be_read_is_an_error_not_a_new_store() {
    let world = World::start().await;
    assert_ne!(world.stores.store_id, StoreId(uuid::Uuid::nil()));
    world.stores.objects.put(&keys::store(), Bytes::from("{}"), PutCondition::None).await.unwrap();
    let (config, _folder) = (world.config.clone(), world.folder.clone());
    drop(world);
    assert!(matches!(open(&config).await.err().unwrap(), OpenError::Identity(_)));
}

#[tokio::test]
async fn each_store_may_have_a_folder_of_its_own() {
    let World { folder, mut config, stores, collection, projection, .. } = World::start().await;
    drop((stores, collection, projection));
    let path = |name: &str| Utf8PathBuf::from_path_buf(folder.path().join(name)).unwrap();
    config.objects = config::Objects::Folder { path: Some(path("objects")) };
    config.queue = config::Queue::Sqlite { path: Some(path("queue/jobs.sqlite")), max_jobs: 10, keep_tasks: 10 };
    config.index = config::Index::QdrantEdge { path: Some(path("index")) };
    let world = World::open(folder.clone(), config).await;
    let record = world.upload(b"one").await;
    world.work().await;
    assert!(matches!(open(&world.config).await.err().unwrap(), OpenError::Lock(_)));
    let world = world.restart_after(|_| {}).await;
    assert!(world.is_indexed(record.image_id).await);
}

#[tokio::test]
async fn an_index_that_another_model_stood_in_for_has_nothing_that_was_deleted_meanwhile() {
    let world = World::start().await;
    let (kept, deleted) = (world.upload(b"kept").await, world.upload(b"deleted").await);
    world.work().await;
    let World { folder, config, stores, collection, projection, .. } = world;
    drop((stores, collection, projection));

    let stores = open(&config).await.unwrap();
    let other = ModelFingerprint("ffffffffffffffff".into());
    let collection = stores.open_collection(&other, DIMENSION).await.unwrap().collection;
    stores.records.delete(deleted.image_id).await.unwrap();
    stores.projection(&collection).align(deleted.image_id).await.unwrap();
    drop((stores, collection));

    // Before any sweep.
    let world = World::open(folder, config).await;
    assert!(!world.is_indexed(deleted.image_id).await);
    assert!(world.is_indexed(kept.image_id).await);
}
