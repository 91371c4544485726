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
    server::{ENDPOINT, Server, free_ports, settings, settings_at},
};
use crate::objects::{ObjectError, ObjectKey, ObjectStore, PutCondition, conformance::conformance};

const MIB: usize = 1 << 20;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn opened() -> S3Store {
    opened_at(&settings()).await
}

/// A server that has just been started listens before it can write.
async fn opened_at(settings: &S3) -> S3Store {
    let started = Instant::now();
    loop {
        match S3Store::open(settings).await {
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
        let mut settings = settings();
        settings.server_side_encryption = Some("AES256".into());
        Arc::new(opened_at(&settings).await) as Arc<dyn ObjectStore>
    })
    .await;
}

async fn count_one_more(store: &S3Store) {
    loop {
        let (info, bytes) = store.get(&key("counter"), 100).await.unwrap().unwrap();
        let count: usize = String::from_utf8_lossy(&bytes).parse().unwrap();
        match store.put(&key("counter"), (count + 1).to_string().into(), PutCondition::Matches(info.etag)).await {
            Ok(_) => return,
            Err(ObjectError::Precondition(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn of_two_clients_who_swap_at_once_each_counts_once() {
    let settings = settings();
    let clients = [opened_at(&settings).await, opened_at(&settings).await];
    let at = key("counter");
    let firsts = join_all(clients.iter().map(|client| client.put(&at, "0".into(), PutCondition::Absent))).await;
    assert_eq!(firsts.iter().filter(|first| first.is_ok()).count(), 1, "{firsts:?}");
    let counts = clients.iter().flat_map(|client| (0..10).map(move |_| count_one_more(client)));
    join_all(counts).await;
    assert_eq!(read_all(&clients[0], "counter").await, b"20");
}

#[tokio::test]
async fn a_large_upload_becomes_one_object_and_leaves_no_parts() {
    let mut settings = settings();
    settings.prefix = settings.prefix.map(|prefix| format!("/shared with others/ä+%/{prefix}/"));
    let store = opened_at(&settings).await;
    let mut staged = store.stage().await.unwrap();
    let mut whole = Vec::new();
    for piece in pieces(5, 3 * MIB) {
        whole.extend_from_slice(&piece);
        staged.write(piece).await.unwrap();
    }
    let seen = staged.reader().await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat();
    assert!(seen == whole);
    assert_eq!(paths(&store).await.len(), 2);
    assert!(store.list("", None).try_next().await.unwrap().is_none());

    staged.commit(&key("originals/ab/large")).await.unwrap();
    assert!(read_all(&store, "originals/ab/large").await == whole);
    assert_eq!(paths(&store).await, ["originals/ab/large"]);
    assert_eq!(uploads(&store).await, 0);
    let (info, stream) = store.read(&key("originals/ab/large"), Some(5 << 20..(5 << 20) + 9)).await.unwrap().unwrap();
    assert_eq!(info.size_bytes, 15 << 20);
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().concat(), whole[5 << 20..(5 << 20) + 9]);
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let store = opened().await;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(4, 3 * MIB) {
        staged.write(piece).await.unwrap();
    }
    assert_eq!(paths(&store).await.len(), 2);
    drop(staged);
    while !paths(&store).await.is_empty() {
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
    match S3Store::open(settings).await {
        Err(ObjectError::Unavailable { context, .. }) => context,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is opened"),
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_check() {
    let mut absent = settings();
    absent.bucket = format!("absent-{}", uuid::Uuid::new_v4());
    absent.create_bucket = false;
    let context = refusal(&absent).await;
    assert!(context.contains(&absent.bucket) && context.contains("objects.create_bucket"), "{context}");

    let mut denied = settings();
    denied.secret_access_key = Some(Secret::new("not-the-secret"));
    let context = refusal(&denied).await;
    assert!(context.contains("check the key") && !context.contains("not-the-secret"), "{context}");

    let mut away = settings_at("http://user:password@127.0.0.1:9".into());
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
    let context = refusal(&settings_at(endpoint)).await;
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
        let bucket = bucket_of(&settings_at(endpoint)).await.unwrap();
        let (count, written) =
            tokio::join!(answer_in_turn(listener, &answers), bucket.put("path", "bytes".into(), &condition));
        assert_eq!((count, written.is_ok()), (expected, expected == 2), "{condition:?} {answers:?} {written:?}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_an_error_in_time_and_one_that_comes_back_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports();
    let server = Server::start(folder.path(), &ports, false, &[]);
    let mut settings = settings_at(server.endpoint());
    settings.timeout_ms = 3000;
    let store = opened_at(&settings).await;
    store.put(&key("kept"), "kept".into(), PutCondition::None).await.unwrap();
    drop(server);

    let started = Instant::now();
    assert!(matches!(store.get(&key("kept"), 10).await, Err(ObjectError::Unavailable { .. })));
    let swapped = store.put(&key("kept"), "lost".into(), PutCondition::Absent).await;
    assert!(matches!(swapped, Err(ObjectError::Unavailable { .. })));
    assert!(matches!(store.ready().await, Err(ObjectError::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());

    let _server = Server::start(folder.path(), &ports, false, &[]);
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
    let tls = ["-s3.cert.file=cert.pem", "-s3.key.file=key.pem"];
    let server = Server::start(folder.path(), &free_ports(), false, &tls);
    let mut settings = settings_at(server.endpoint().replace("http://", "https://"));
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

/// Alone in its process, whose memory it measures.
#[tokio::test]
#[ignore = "started by the next one"]
async fn stream_through_little_memory() {
    const COUNT: usize = 256 * 16;
    let store = opened().await;
    let before = peak_mib();
    let mut staged = store.stage().await.unwrap();
    let mut sent = Sha256::new();
    for piece in pieces(COUNT, MIB / 16) {
        sent.update(&piece);
        staged.write(piece).await.unwrap();
    }
    staged.commit(&key("large")).await.unwrap();
    let (info, mut stream) = store.read(&key("large"), None).await.unwrap().unwrap();
    assert_eq!(info.size_bytes as usize, COUNT * MIB / 16);
    let mut received = Sha256::new();
    while let Some(piece) = stream.try_next().await.unwrap() {
        received.update(&piece);
    }
    assert_eq!(received.finalize(), sent.finalize());
    store.delete(&key("large")).await.unwrap();
    let grown = peak_mib() - before;
    println!("{grown} MiB more than before");
    assert!(grown < 64, "{grown} MiB more than before");
}

#[tokio::test]
async fn a_large_object_streams_through_little_memory() {
    let streamed = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "objects::s3::tests::stream_through_little_memory"])
        .env(ENDPOINT, settings().endpoint.unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&streamed.stdout);
    assert!(streamed.status.success() && said.contains("1 passed"), "{said}");
}
