//! What uploads that died have left.

use std::{sync::Arc, time::Duration};

use embedding::{Checksum, FileChecksums};
use jiff::{SignedDuration, Timestamp};
use shared::{CopyId, ImageId};

use super::{MIB, key, opened, opened_at, paths, pieces, settings, until, uploads};
use crate::{
    keys,
    models::ModelKey,
    objects::{
        ObjectKey, ObjectStore, PutCondition,
        s3::{
            S3Store,
            leftovers::{keep_removing, remove},
        },
    },
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn original() -> ObjectKey {
    keys::original(ImageId::of(b"image"), CopyId::new())
}

fn model_file() -> ObjectKey {
    let model = ModelKey::of(&"hf://owner/model".parse().unwrap(), &FileChecksums::new());
    keys::model_file(&model, Checksum::of(b"file"))
}

/// Begins a multipart upload that nobody ends; gives its id.
async fn begin(store: &S3Store, path: &str) -> String {
    let bucket = &store.bucket;
    let path = format!("{}{path}", bucket.prefix);
    let begun = bucket.client.create_multipart_upload().bucket(&bucket.name).key(path).send().await.unwrap();
    begun.upload_id.unwrap()
}

/// Writes anything anywhere below the prefix.
async fn put(store: &S3Store, path: &str) {
    let path = format!("{}{path}", store.bucket.prefix);
    store.bucket.put(&path, "bytes".into(), &PutCondition::None).await.unwrap();
}

#[tokio::test]
async fn what_died_long_ago_is_removed_and_the_rest_stays() {
    let store = opened().await;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(2, 4 * MIB) {
        staged.write(piece).await.unwrap();
    }
    store.put(&key("kept"), "kept".into(), PutCondition::None).await.unwrap();
    begin(&store, original().as_str()).await;

    remove(&store.bucket, Timestamp::now() - HOUR).await.unwrap();
    assert_eq!((paths(&store).await.len(), uploads(&store).await.len()), (2, 1));
    remove(&store.bucket, Timestamp::now() + HOUR).await.unwrap();
    assert_eq!((paths(&store).await, uploads(&store).await.len()), (vec!["kept".to_owned()], 0));
}

#[tokio::test]
async fn what_others_began_in_a_shared_bucket_stays() {
    let theirs = ["backups/db.dump", "models/llama/weights", "originals/2026/photo.raw"];
    let objects = [".staging/job-1/part-0", ".staging/ready", "backups/db"];
    let mut settings = settings().await;
    settings.bucket = format!("shared-{}", settings.prefix.take().unwrap());
    let store = opened_at(&settings).await;
    for path in theirs.into_iter().chain([original().as_str(), model_file().as_str()]) {
        begin(&store, path).await;
    }
    for path in objects.into_iter().chain([".staging/4c5c1dff-2f8e-4a52-9a6c-8d4c5c3f6f0e/0"]) {
        put(&store, path).await;
    }
    assert_eq!(uploads(&store).await.len(), 5);

    remove(&store.bucket, Timestamp::now() + HOUR).await.unwrap();
    assert_eq!(uploads(&store).await, theirs);
    assert_eq!(paths(&store).await, objects);
}

#[tokio::test]
async fn what_is_left_while_the_store_is_open_is_removed_too() {
    let store = opened().await;
    let sweeper = tokio::spawn(keep_removing(store.bucket.clone(), -HOUR, Duration::from_millis(50)));
    for _ in 0..3 {
        begin(&store, original().as_str()).await;
        put(&store, &format!(".staging/{}/0", uuid::Uuid::new_v4())).await;
        let are_gone = async || uploads(&store).await.is_empty() && paths(&store).await.is_empty();
        until("leftovers stay", are_gone).await;
    }
    sweeper.abort();
}

#[tokio::test]
async fn what_another_process_has_removed_is_no_error() {
    let store = opened().await;
    let upload_id = begin(&store, original().as_str()).await;
    let path = format!("{}{}", store.bucket.prefix, uploads(&store).await[0]);
    for _ in 0..2 {
        store.bucket.abort(&path, &upload_id).await.unwrap();
        store.bucket.delete(&path).await.unwrap();
    }
    assert_eq!(uploads(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_goes_on_after_the_store_is_dropped() {
    let store = opened().await;
    let bucket = Arc::downgrade(&store.bucket);
    drop(store);
    until("the bucket is still used", async || bucket.strong_count() == 0).await;
}
