//! What a store is asked to do for bytes, and what becomes of its answers: encryption, checksums, conditions.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use futures::TryStreamExt;
use shared::config::S3;

use super::{
    MIB, bucket_of,
    fake::{Fake, Request, TAG, answer, take},
    folder, key, opened, opened_at, pieces, settings, settings_at,
};
use crate::objects::{
    ObjectError, ObjectStore, PutCondition, StagedObject,
    s3::{S3Store, staged::S3Staged},
};

/// Puts a small object and one that is made of parts.
async fn fill(store: &S3Store) {
    store.put(&key("small"), "small".into(), PutCondition::None).await.unwrap();
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(2, 3 * MIB) {
        staged.write(piece).await.unwrap();
    }
    staged.commit(&key("large")).await.unwrap();
}

async fn encryption_of(store: &S3Store, at: &str) -> Option<ServerSideEncryption> {
    let bucket = &store.bucket;
    let found = bucket.client.head_object().bucket(&bucket.name).key(bucket.path(&key(at))).send().await.unwrap();
    found.server_side_encryption
}

#[tokio::test]
async fn objects_are_encrypted_if_it_is_configured() {
    let mut settings = settings().await;
    for expected in [None, Some(ServerSideEncryption::Aes256)] {
        settings.server_side_encryption = expected.as_ref().map(ToString::to_string);
        let store = opened_at(&settings).await;
        fill(&store).await;
        for at in ["small", "large"] {
            assert_eq!(encryption_of(&store, at).await, expected, "{at}");
        }
    }
}

/// Whether a request puts an object, or begins one that is put together.
fn makes_an_object(request: &Request) -> bool {
    let puts = request.target.starts_with("PUT") && !request.target.contains("partNumber=");
    puts || request.target.contains("?uploads")
}

#[tokio::test]
async fn whatever_makes_an_object_names_the_key_to_encrypt_it_with() {
    let server = Fake::start(|request| Some(take(request))).await;
    let settings = S3 {
        server_side_encryption: Some("aws:kms".into()),
        kms_key_id: Some("key-of-tests".into()),
        part_size_bytes: 1000,
        ..settings_at(&server.url)
    };
    let bucket = Arc::new(bucket_of(&settings, &folder()).await.unwrap());
    bucket.put("small", "small".into(), &PutCondition::None).await.unwrap();
    let mut staged = Box::new(S3Staged::new(bucket));
    staged.write(vec![0; 2500].into()).await.unwrap();
    staged.commit(&key("large")).await.unwrap();

    let (makers, others): (Vec<_>, Vec<_>) = server.requests().into_iter().partition(makes_an_object);
    // The small one, two parts aside and the large one; two copies, the last part, the completion and two removals.
    assert_eq!((makers.len(), others.len()), (4, 6));
    for request in makers {
        assert_eq!(request.header("x-amz-server-side-encryption"), Some("aws:kms"), "{request:?}");
        assert_eq!(request.header("x-amz-server-side-encryption-aws-kms-key-id"), Some("key-of-tests"), "{request:?}");
    }
    for request in others {
        assert_eq!(request.header("x-amz-server-side-encryption"), None, "{request:?}");
    }
}

#[tokio::test]
async fn a_store_that_copies_nothing_into_what_has_a_checksum_is_asked_for_none() {
    // As MinIO answers.
    let refused = "<Error><Code>InvalidArgument</Code><Message>checksum missing</Message></Error>";
    let asked = AtomicUsize::new(0);
    let server = Fake::start(move |request| {
        let copies = request.header("x-amz-copy-source").is_some();
        let is_first = copies && asked.fetch_add(1, Ordering::Relaxed) < 2;
        Some(if is_first { answer("400 Bad Request", &[], refused) } else { take(request) })
    })
    .await;
    let settings = S3 { part_size_bytes: 1000, ..settings_at(&server.url) };
    let bucket = Arc::new(bucket_of(&settings, &folder()).await.unwrap());
    for name in ["large", "larger"] {
        let mut staged = Box::new(S3Staged::new(bucket.clone()));
        staged.write(vec![0; 2500].into()).await.unwrap();
        staged.commit(&key(name)).await.unwrap();
    }
    let begun = server.requests().into_iter().filter(|request| request.target.contains("?uploads"));
    let checksums: Vec<_> =
        begun.map(|request| request.header("x-amz-checksum-algorithm").map(str::to_owned)).collect();
    assert_eq!(checksums, [Some("CRC32".to_owned()), None, None]);
}

#[tokio::test]
async fn bytes_that_do_not_match_their_checksum_are_an_error() {
    for (checksum, matches) in [("y/Q5Jg==", true), ("y/Q5Jw==", false)] {
        let found = answer("200 OK", &[TAG, ("x-amz-checksum-crc32", checksum)], "123456789");
        let server = Fake::start(move |_| Some(found.clone())).await;
        let bucket = bucket_of(&settings_at(&server.url), &folder()).await.unwrap();
        let got = bucket.get(&key("object"), 100).await;
        let (_, stream) = bucket.read(&key("object"), None).await.unwrap().unwrap();
        let read = stream.try_collect::<Vec<_>>().await;
        if matches {
            assert_eq!((got.unwrap().unwrap().1, read.unwrap().concat()), ("123456789".into(), b"123456789".to_vec()));
        } else {
            assert!(matches!(got, Err(ObjectError::Unavailable { .. })), "{got:?}");
            assert!(matches!(read, Err(ObjectError::Unavailable { .. })), "{read:?}");
        }
        for request in server.requests() {
            assert_eq!(request.header("x-amz-checksum-mode"), Some("ENABLED"));
        }
    }
}

#[tokio::test]
async fn a_store_gives_a_checksum_of_the_whole_object() {
    let store = opened().await;
    fill(&store).await;
    let bucket = &store.bucket;
    for at in ["small", "large"] {
        let request = bucket.client.get_object().bucket(&bucket.name).key(bucket.path(&key(at)));
        let found = request.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        assert!(found.checksum_crc32().is_some(), "{at}: {found:?}");
    }
}

#[tokio::test]
async fn a_conditional_write_whose_answer_is_lost_is_not_sent_again() {
    for (condition, answers, expected) in [
        (PutCondition::Absent, [None, Some("200 OK")], 1),
        (PutCondition::Absent, [Some("500 Internal Server Error"), Some("200 OK")], 1),
        (PutCondition::Absent, [Some("503 Slow Down"), Some("200 OK")], 2),
        (PutCondition::None, [None, Some("200 OK")], 2),
    ] {
        let turns = Mutex::new(answers.into_iter());
        let next = move || turns.lock().unwrap().next().flatten();
        let server = Fake::start(move |_| next().map(|status| answer(status, &[TAG], ""))).await;
        let bucket = bucket_of(&settings_at(&server.url), &folder()).await.unwrap();
        let written = bucket.put("path", "bytes".into(), &condition).await;
        let count = server.requests().len();
        assert_eq!((count, written.is_ok()), (expected, expected == 2), "{condition:?} {answers:?} {written:?}");
    }
}
