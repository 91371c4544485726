#![allow(clippy::unwrap_used)]

mod access;
mod fake;
mod integrity;
mod leftovers;
mod memory;
mod uploads;

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use camino::Utf8PathBuf;
use futures::{TryStreamExt, future::join_all};
use shared::config::S3;

use super::{
    S3Store,
    opening::bucket_of,
    server::{settings, settings_at},
};
use crate::objects::{ObjectError, ObjectKey, ObjectStore, PutCondition, conformance::conformance};

const MIB: usize = 1 << 20;
/// It bounds a hang, it measures nothing.
const PATIENCE: Duration = Duration::from_mins(1);

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// For parts of uploads; made when it is needed.
fn folder() -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap().join("imagesearch-tests-uploads")
}

async fn opened() -> S3Store {
    opened_at(&settings().await).await
}

/// A server that has just been started listens before it can write.
async fn opened_at(settings: &S3) -> S3Store {
    let started = Instant::now();
    loop {
        match S3Store::open(settings, &folder()).await {
            Ok(store) => return store,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}: {error:?}"),
        }
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything below the store's prefix, whether it is an object or not; `ready` is always the same small one.
async fn paths(store: &S3Store) -> Vec<String> {
    let bucket = &store.bucket;
    let page = bucket.client.list_objects_v2().bucket(&bucket.name).prefix(&bucket.prefix).send().await.unwrap();
    page.contents().iter().map(|object| object.key().unwrap()[bucket.prefix.len()..].to_owned()).collect()
}

/// The paths of all multipart uploads that were begun below the store's prefix.
async fn uploads(store: &S3Store) -> Vec<String> {
    let bucket = &store.bucket;
    let page = bucket.client.list_multipart_uploads().bucket(&bucket.name).prefix(&bucket.prefix).send().await.unwrap();
    let mut paths: Vec<_> =
        page.uploads().iter().map(|upload| upload.key().unwrap()[bucket.prefix.len()..].to_owned()).collect();
    paths.sort();
    paths
}

/// Pieces that differ everywhere.
fn pieces(count: usize, piece_bytes: usize) -> impl Iterator<Item = Bytes> {
    (0..count).map(move |number| {
        let mut piece = vec![number as u8; piece_bytes];
        for (position, chunk) in piece.chunks_exact_mut(64).enumerate() {
            chunk[..16].copy_from_slice(&[(number as u64).to_le_bytes(), (position as u64).to_le_bytes()].concat());
        }
        Bytes::from(piece)
    })
}

async fn read_all(store: &S3Store, at: &str) -> Vec<u8> {
    let (_, stream) = store.read(&key(at), None).await.unwrap().unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}

/// Runs a test alone in a process of its own, which has the shared server, and nothing that this machine may know of AWS.
async fn run_alone(test: &str, environment: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("objects::s3::tests::{test}")]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env(servers::S3_ENDPOINT, servers::shared_s3().await)
        .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied());
    // Meanwhile fake servers of this test answer.
    let run = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    println!("{said}");
}

#[tokio::test]
async fn the_bucket_keeps_the_contract() {
    conformance(async || Arc::new(opened().await) as Arc<dyn ObjectStore>).await;
}

#[tokio::test]
async fn encrypted_objects_keep_the_contract() {
    conformance(async || {
        let mut settings = settings().await;
        settings.server_side_encryption = Some("AES256".into());
        Arc::new(opened_at(&settings).await) as Arc<dyn ObjectStore>
    })
    .await;
}

/// Adds one to the counter; gives how many of its writes had no clear answer, each of which may have counted.
async fn count_one_more(store: &S3Store) -> usize {
    let mut unclear = 0;
    loop {
        let (info, bytes) = store.get(&key("counter"), 100).await.unwrap().unwrap();
        let count: usize = String::from_utf8_lossy(&bytes).parse().unwrap();
        match store.put(&key("counter"), (count + 1).to_string().into(), PutCondition::Matches(info.etag)).await {
            Ok(_) => return unclear,
            Err(ObjectError::Precondition(_)) => {}
            // A busy server may say that it failed; a conditional write is not sent again then.
            Err(error @ ObjectError::Unavailable { .. }) => {
                println!("{error:?}");
                unclear += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn of_two_clients_who_swap_at_once_each_counts_once() {
    let settings = settings().await;
    let clients = [opened_at(&settings).await, opened_at(&settings).await];
    let at = key("counter");
    while clients[0].head(&at).await.unwrap().is_none() {
        let firsts = join_all(clients.iter().map(|client| client.put(&at, "0".into(), PutCondition::Absent))).await;
        assert!(firsts.iter().filter(|first| first.is_ok()).count() <= 1, "{firsts:?}");
    }
    let counts = clients.iter().flat_map(|client| (0..10).map(move |_| count_one_more(client)));
    let unclear: usize = join_all(counts).await.into_iter().sum();
    let counted: usize = String::from_utf8(read_all(&clients[0], "counter").await).unwrap().parse().unwrap();
    assert!((20..=20 + unclear).contains(&counted), "{counted}, of which {unclear} are unclear");
}

#[tokio::test]
async fn stores_that_share_a_bucket_do_not_see_each_other() {
    let (one, two) = (opened().await, opened().await);
    one.put(&key("a"), "one".into(), PutCondition::Absent).await.unwrap();
    two.put(&key("a"), "two".into(), PutCondition::Absent).await.unwrap();
    assert_eq!(read_all(&one, "a").await, b"one");
    let listed: Vec<_> = two.list("", None).try_collect().await.unwrap();
    assert_eq!((listed.len(), listed[0].size_bytes), (1, 3));
}
