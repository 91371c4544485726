//! How much memory objects take on their way.

use bytes::Bytes;
use futures::{TryStreamExt, future::join_all};
use sha2::{Digest, Sha256};

use super::{MIB, key, opened, pieces, run_alone};
use crate::objects::{ObjectKey, ObjectStore, s3::S3Store};

/// Largest resident size so far, in MiB.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() >> 10
}

fn assert_grown_at_most(limit_mib: usize, before_mib: usize) {
    let grown_mib = peak_mib() - before_mib;
    println!("{grown_mib} MiB more than before");
    assert!(grown_mib < limit_mib, "{grown_mib} MiB more than before");
}

/// Uploads pieces, and gives their digest.
async fn upload(store: &S3Store, at: &ObjectKey, pieces: impl Iterator<Item = Bytes>) -> [u8; 32] {
    let mut staged = store.stage().await.unwrap();
    let mut digest = Sha256::new();
    for piece in pieces {
        digest.update(&piece);
        staged.write(piece).await.unwrap();
        // Others get their turn between two pieces, as they do between two that come over a network.
        tokio::task::yield_now().await;
    }
    staged.commit(at).await.unwrap();
    digest.finalize().into()
}

async fn digest_of(store: &S3Store, at: &ObjectKey) -> [u8; 32] {
    let (_, mut stream) = store.read(at, None).await.unwrap().unwrap();
    let mut digest = Sha256::new();
    while let Some(piece) = stream.try_next().await.unwrap() {
        digest.update(&piece);
    }
    digest.finalize().into()
}

/// Puts an object of so many MiB, and reads it back.
async fn stream_mebibytes(size_mib: usize) {
    let store = opened().await;
    let (before_mib, at) = (peak_mib(), key("large"));
    let sent = upload(&store, &at, pieces(16 * size_mib, MIB / 16)).await;
    assert_eq!(store.head(&at).await.unwrap().unwrap().size_bytes as usize, size_mib * MIB);
    assert_eq!(digest_of(&store, &at).await, sent);
    store.delete(&at).await.unwrap();
    assert_grown_at_most(64, before_mib);
}

#[tokio::test]
#[ignore = "started by the next one"]
async fn stream_256_mebibytes() {
    stream_mebibytes(256).await;
}

#[tokio::test]
async fn a_large_object_streams_through_little_memory() {
    run_alone("memory::stream_256_mebibytes", &[]).await;
}

#[tokio::test]
#[ignore = "started by the next one"]
async fn stream_a_gibibyte() {
    stream_mebibytes(1024).await;
}

#[tokio::test]
#[ignore = "keeps the server, which other tests share, busy for a minute"]
async fn an_object_of_a_gibibyte_streams_through_little_memory() {
    run_alone("memory::stream_a_gibibyte", &[]).await;
}

#[tokio::test]
#[ignore = "started by the next one"]
async fn upload_many_at_once() {
    let store = opened().await;
    // One place, so that all of them need the same one.
    store.bucket.places.forget_permits(store.bucket.places.available_permits() - 1);
    let before_mib = peak_mib();
    // In memory, these would be 192 MiB.
    let mut slow = Vec::new();
    for _ in 0..48 {
        let mut staged = store.stage().await.unwrap();
        for piece in pieces(64, MIB / 16) {
            staged.write(piece).await.unwrap();
        }
        slow.push(staged);
    }
    let keys: Vec<_> = (0..12).map(|number| key(&number.to_string())).collect();
    let sent = join_all(keys.iter().map(|at| upload(&store, at, pieces(180, MIB / 16)))).await;
    for (at, sent) in keys.iter().zip(sent) {
        assert_eq!(digest_of(&store, at).await, sent, "{at}");
    }
    assert_grown_at_most(64, before_mib);
    slow.pop().unwrap().commit(&keys[0]).await.unwrap();
    assert_eq!(store.head(&keys[0]).await.unwrap().unwrap().size_bytes, 4 << 20);
}

#[tokio::test]
async fn slow_uploads_take_no_memory_and_those_that_need_one_place_all_end() {
    run_alone("memory::upload_many_at_once", &[]).await;
}
