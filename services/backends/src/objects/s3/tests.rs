#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use camino::Utf8PathBuf;
use futures::{TryStreamExt, future::join_all};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use shared::config::{S3, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    S3Store,
    opening::{bucket_of, remove_leftovers},
    server::{settings, settings_at},
};
use crate::objects::{ObjectError, ObjectKey, ObjectStore, PutCondition, conformance::conformance};

const MIB: usize = 1 << 20;

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
            Err(error) => assert!(started.elapsed() < Duration::from_mins(1), "{error}: {error:?}"),
        }
    }
}

/// Everything below the store's prefix, whether it is an object or not; `ready` is always the same small one.
async fn paths(store: &S3Store) -> Vec<String> {
    let bucket = &store.bucket;
    let page = bucket.client.list_objects_v2().bucket(&bucket.name).prefix(&bucket.prefix).send().await.unwrap();
    page.contents().iter().map(|object| object.key().unwrap()[bucket.prefix.len()..].to_owned()).collect()
}

async fn uploads(store: &S3Store) -> usize {
    let bucket = &store.bucket;
    let page = bucket.client.list_multipart_uploads().bucket(&bucket.name).prefix(&bucket.prefix).send().await.unwrap();
    page.uploads().len()
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
async fn a_large_upload_becomes_one_object_and_leaves_no_parts() {
    let mut settings = settings().await;
    settings.prefix = settings.prefix.map(|prefix| format!("/shared with others/ä+%/{prefix}/"));
    let store = opened_at(&settings).await;
    // What an opening left that was overtaken by its deadline.
    let before = paths(&store).await;
    let mut staged = store.stage().await.unwrap();
    let mut whole = Vec::new();
    for piece in pieces(5, 3 * MIB) {
        whole.extend_from_slice(&piece);
        staged.write(piece).await.unwrap();
    }
    assert_eq!(paths(&store).await.len(), before.len() + 2);
    assert!(store.list("", None).try_next().await.unwrap().is_none());

    staged.commit(&key("originals/ab/large")).await.unwrap();
    assert!(read_all(&store, "originals/ab/large").await == whole);
    assert_eq!(paths(&store).await, [before, vec!["originals/ab/large".to_owned()]].concat());
    assert_eq!(uploads(&store).await, 0);
    let (info, stream) = store.read(&key("originals/ab/large"), Some(5 << 20..(5 << 20) + 9)).await.unwrap().unwrap();
    assert_eq!(info.size_bytes, 15 << 20);
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().concat(), whole[5 << 20..(5 << 20) + 9]);
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let store = opened().await;
    let before = paths(&store).await;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(4, 3 * MIB) {
        staged.write(piece).await.unwrap();
    }
    assert_eq!(paths(&store).await.len(), before.len() + 2);
    drop(staged);
    while paths(&store).await != before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_died_long_ago_is_removed_and_the_rest_stays() {
    let store = opened().await;
    let bucket = &store.bucket;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(2, 4 * MIB) {
        staged.write(piece).await.unwrap();
    }
    store.put(&key("kept"), "kept".into(), PutCondition::None).await.unwrap();
    let path = bucket.path(&key("originals/begun"));
    bucket.client.create_multipart_upload().bucket(&bucket.name).key(path).send().await.unwrap();

    remove_leftovers(bucket, Timestamp::now() - jiff::SignedDuration::from_hours(1)).await.unwrap();
    assert_eq!((paths(&store).await.len(), uploads(&store).await), (2, 1));
    remove_leftovers(bucket, Timestamp::now() + jiff::SignedDuration::from_hours(1)).await.unwrap();
    assert_eq!((paths(&store).await, uploads(&store).await), (vec!["kept".to_owned()], 0));
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

async fn refusal(settings: &S3) -> String {
    match S3Store::open(settings, &folder()).await {
        Err(ObjectError::Unavailable { context, .. }) => context,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is opened"),
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_check() {
    let mut absent = settings().await;
    absent.bucket = format!("absent-{}", uuid::Uuid::new_v4());
    absent.create_bucket = false;
    let context = refusal(&absent).await;
    assert!(context.contains(&absent.bucket) && context.contains("objects.create_bucket"), "{context}");

    let mut denied = settings().await;
    denied.secret_access_key = Some(Secret::new("not-the-secret"));
    let context = refusal(&denied).await;
    assert!(context.contains("check the key") && !context.contains("not-the-secret"), "{context}");

    let mut away = settings_at("http://user:password@127.0.0.1:9");
    away.timeout_ms = 2000;
    let context = refusal(&away).await;
    assert!(
        context.contains("127.0.0.1:9") && context.contains("no answer") && !context.contains("password"),
        "{context}"
    );
}

/// Takes whatever is sent, as a store does that knows no conditions.
async fn take_everything(listener: tokio::net::TcpListener) {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    while let Ok((mut connection, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = vec![0; 64 << 10];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(ANSWER).await;
            let _ = connection.read(&mut request).await;
        });
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(take_everything(listener));
    let context = refusal(&settings_at(&endpoint)).await;
    assert!(context.contains("If-None-Match"), "{context}");
}

/// Answers each request with the next of these, and hangs up for `None`; gives how many came.
async fn answer_in_turn(listener: tokio::net::TcpListener, answers: &[Option<&str>]) -> usize {
    let mut count = 0;
    // Whoever is not asked again within this time won't be.
    while let Ok(Ok((mut connection, _))) = tokio::time::timeout(Duration::from_secs(3), listener.accept()).await {
        let mut request = vec![0; 64 << 10];
        let _ = connection.read(&mut request).await;
        if let Some(Some(status)) = answers.get(count) {
            let answer =
                format!("HTTP/1.1 {status}\r\nETag: \"tag\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = connection.write_all(answer.as_bytes()).await;
        }
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_conditional_write_whose_answer_is_lost_is_not_sent_again() {
    for (condition, answers, expected) in [
        (PutCondition::Absent, [None, Some("200 OK")], 1),
        (PutCondition::Absent, [Some("500 Internal Server Error"), Some("200 OK")], 1),
        (PutCondition::Absent, [Some("503 Slow Down"), Some("200 OK")], 2),
        (PutCondition::None, [None, Some("200 OK")], 2),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let bucket = bucket_of(&settings_at(&endpoint), &folder()).await.unwrap();
        let (count, written) =
            tokio::join!(answer_in_turn(listener, &answers), bucket.put("path", "bytes".into(), &condition));
        assert_eq!((count, written.is_ok()), (expected, expected == 2), "{condition:?} {answers:?} {written:?}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_an_error_in_time_and_one_that_comes_back_is_used_again() {
    let mut server = servers::s3(&[]).await;
    let mut settings = settings_at(&server.url());
    settings.timeout_ms = 3000;
    let store = opened_at(&settings).await;
    store.put(&key("kept"), "kept".into(), PutCondition::None).await.unwrap();
    server.kill();

    let started = Instant::now();
    assert!(matches!(store.get(&key("kept"), 10).await, Err(ObjectError::Unavailable { .. })));
    let swapped = store.put(&key("kept"), "lost".into(), PutCondition::Absent).await;
    assert!(matches!(swapped, Err(ObjectError::Unavailable { .. })));
    assert!(matches!(store.ready().await, Err(ObjectError::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());

    server.restart().await;
    while store.ready().await.is_err() {
        assert!(started.elapsed() < Duration::from_mins(1), "it is not used again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read_all(&store, "kept").await, b"kept");
}

/// A certificate for 127.0.0.1 that nobody else vouches for.
fn make_certificate(folder: &Path) {
    const EXTENSIONS: &str = "[req]\ndistinguished_name=name\nx509_extensions=more\n[name]\n[more]\n\
        subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(folder.join("openssl.cnf"), EXTENSIONS).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=tests"])
        .current_dir(folder)
        .output()
        .expect("openssl is needed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    make_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tls = [format!("-s3.cert.file={}", path("cert.pem")), format!("-s3.key.file={}", path("key.pem"))];
    let server = servers::s3(&[&tls[0], &tls[1]]).await;
    let mut settings = settings_at(&server.url().replace("http://", "https://"));
    let file = |name: &str| Some(Utf8PathBuf::from_path_buf(folder.path().join(name)).unwrap());
    settings.timeout_ms = 3000;
    refusal(&settings).await;

    std::fs::write(folder.path().join("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
        .unwrap();
    for broken in ["broken.pem", "openssl.cnf", "absent.pem"] {
        settings.ca_file = file(broken);
        let context = refusal(&settings).await;
        assert!(context.contains("objects.ca_file") && context.contains(broken), "{context}");
    }
    settings.ca_file = file("cert.pem");
    opened_at(&settings).await.ready().await.unwrap();
}

/// Largest resident size so far, in MiB.
fn peak_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() >> 10
}

#[tokio::test]
async fn a_folder_that_takes_no_parts_is_named_and_small_uploads_go_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = Utf8PathBuf::from_path_buf(file.path().to_owned()).unwrap();
    let settings = settings().await;
    opened_at(&settings).await;
    let store = S3Store::open(&settings, &folder).await.unwrap();
    for (size_bytes, fits) in [(100_000, true), (200_000, false)] {
        let mut staged = store.stage().await.unwrap();
        match staged.write(vec![0; size_bytes].into()).await {
            Ok(()) => assert!(fits),
            Err(error) => assert!(!fits && error.to_string().contains(folder.as_str()), "{error}"),
        }
    }
}

/// Runs a test alone in its process, whose memory it measures.
async fn run_alone(test: &str) {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("objects::s3::tests::{test}")])
        .env(servers::S3_ENDPOINT, servers::shared_s3().await)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    println!("{said}");
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
    run_alone("stream_256_mebibytes").await;
}

#[tokio::test]
#[ignore = "started by the next one"]
async fn stream_a_gibibyte() {
    stream_mebibytes(1024).await;
}

#[tokio::test]
#[ignore = "keeps the server, which other tests share, busy for a minute"]
async fn an_object_of_a_gibibyte_streams_through_little_memory() {
    run_alone("stream_a_gibibyte").await;
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
    run_alone("upload_many_at_once").await;
}
