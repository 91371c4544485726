//! Against real NATS servers.
#![allow(clippy::unwrap_used)]

use async_nats::jetstream::{
    self, AckKind,
    consumer::{PullConsumer, pull},
    kv,
    stream::{Config, RetentionPolicy},
};
use futures::StreamExt;
use servers::Server;
use shared::{config::Jetstream, model::FillProgress};
use tokio::time::Instant;

use super::*;

const STREAM: &str = "photos-jobs";

fn reader(server: &Server, login: Login) -> LagReader {
    LagReader::new(nats(server, login), STREAM.into())
}

fn nats(server: &Server, login: Login) -> Nats {
    Nats { servers: vec![server.url()], login, ca: None, certificate: None }
}

/// The stream of jobs as the services make it, with its messages.
async fn stream(server: &Server, jobs: usize) -> jetstream::stream::Stream {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = Config {
        name: STREAM.into(),
        subjects: vec!["photos.jobs.*".into()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    let stream = context.create_stream(config).await.unwrap();
    for job in 0..jobs {
        let subject = if job % 2 == 0 { "photos.jobs.one" } else { "photos.jobs.other" };
        context.publish(subject, "".into()).await.unwrap().await.unwrap();
    }
    stream
}

async fn consumer(stream: &jetstream::stream::Stream, model: &str) -> PullConsumer {
    let filter_subject = format!("photos.jobs.{model}");
    let config = pull::Config { durable_name: Some(model.into()), filter_subject, ..pull::Config::default() };
    stream.create_consumer(config).await.unwrap()
}

fn counts(lag: Lag) -> (u64, u64) {
    (lag.pending, lag.in_flight)
}

#[tokio::test]
async fn a_stream_that_is_not_there_has_no_jobs() {
    let server = servers::nats(&[]).await;
    assert_eq!(reader(&server, Login::Anonymous).read().await.unwrap(), Lag::default());
}

#[tokio::test]
async fn jobs_that_are_worked_on_or_wait_for_another_try_count() {
    let server = servers::nats(&[]).await;
    let mut reader = reader(&server, Login::Anonymous);
    let before = Timestamp::now();
    let stream = stream(&server, 20).await;
    let lag = reader.read().await.unwrap();
    assert_eq!(counts(lag), (20, 0), "before there is a consumer");
    let since = lag.oldest_since.unwrap();
    assert!((before..Timestamp::now()).contains(&since), "{since}");

    let (one, other) = (consumer(&stream, "one").await, consumer(&stream, "other").await);
    let mut taken = one.fetch().max_messages(6).messages().await.unwrap();
    let mut messages = Vec::new();
    while let Some(message) = taken.next().await {
        messages.push(message.unwrap());
    }
    let later = Duration::from_hours(1);
    messages[5].ack_with(AckKind::Nak(Some(later))).await.unwrap();
    let mut taken = other.fetch().max_messages(3).messages().await.unwrap();
    let _also_in_flight = taken.next().await.unwrap().unwrap();
    assert_eq!(counts(reader.read().await.unwrap()), (11, 9));

    messages[0].double_ack().await.unwrap();
    let lag = reader.read().await.unwrap();
    assert_eq!(counts(lag), (11, 8));
    assert!(lag.oldest_since.unwrap() > since, "the oldest is done");
}

fn beside(source: &str, fingerprint: Option<&str>) -> Beside {
    Beside {
        source: source.into(),
        fingerprint: fingerprint.map(str::to_owned),
        bucket: Jetstream::models_bucket("photos"),
        filled_since: Some(Timestamp::UNIX_EPOCH),
    }
}

/// The bucket as `imagesearch model fill` makes it, with what that tells.
async fn bucket(server: &Server, indexed: u64) -> kv::Store {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = kv::Config { bucket: Jetstream::models_bucket("photos"), ..kv::Config::default() };
    let bucket = context.create_key_value(config).await.unwrap();
    let model = |source: &str, fingerprint: &str| serde_json::json!({ "source": source, "fingerprint": fingerprint, "dimension": 4 });
    let told = serde_json::json!({
        "model": model("larger", "other"), "beside": model("bundled", "one"),
        "indexed": indexed, "images": 1000, "seconds_left": 30,
    });
    bucket.put(FillProgress::KEY, told.to_string().into()).await.unwrap();
    bucket
}

#[tokio::test]
async fn jobs_of_a_second_model_are_no_load() {
    let server = servers::nats(&[]).await;
    let mut reader = reader(&server, Login::Anonymous);
    let stream = stream(&server, 21).await;
    let (one, other) = (consumer(&stream, "one").await, consumer(&stream, "other").await);
    let mut taken = Vec::new();
    for (consumer, jobs) in [(&one, 2), (&other, 3)] {
        let mut messages = consumer.fetch().max_messages(jobs).messages().await.unwrap();
        while let Some(message) = messages.next().await {
            taken.push(message.unwrap());
        }
    }
    reader.set_beside(Some(beside("larger", None)));
    assert_eq!(counts(reader.read().await.unwrap()), (16, 5), "nobody knows which are whose");
    reader.set_beside(Some(beside("larger", Some("other"))));
    assert_eq!(counts(reader.read().await.unwrap()), (9, 2));
    reader.set_beside(Some(beside("bundled", Some("one"))));
    assert_eq!(counts(reader.read().await.unwrap()), (7, 3));
    reader.set_beside(Some(beside("larger", Some("one that has no jobs yet"))));
    assert_eq!(counts(reader.read().await.unwrap()), (16, 5));
    reader.set_beside(None);
    assert_eq!(counts(reader.read().await.unwrap()), (16, 5));
}

#[tokio::test]
async fn how_far_a_second_model_is_is_read_beside_the_lag() {
    let server = servers::nats(&[]).await;
    let mut reader = reader(&server, Login::Anonymous);
    stream(&server, 4).await;
    let told = async |reader: &mut LagReader| {
        assert_eq!(reader.read().await.unwrap().total(), 4);
        reader.progress().map(|progress| (progress.model.fingerprint.clone(), progress.indexed, progress.percent))
    };
    reader.set_beside(Some(beside("larger", None)));
    assert_eq!(told(&mut reader).await, None, "there is no bucket");
    let bucket = bucket(&server, 874).await;
    let now = Timestamp::now().as_second();
    assert_eq!(told(&mut reader).await, Some(("other".into(), 870, Some(87))));
    let progress = reader.progress().unwrap();
    assert_eq!((progress.current.source.as_str(), progress.current.fingerprint.as_str()), ("bundled", "one"));
    let left = progress.expected_at.unwrap().as_second() - now;
    assert!((25..=40).contains(&left), "{left}");

    reader.set_beside(Some(beside("third", None)));
    assert_eq!(told(&mut reader).await, None, "it is of another one");
    reader.set_beside(Some(beside("larger", None)));
    assert!(told(&mut reader).await.is_some());
    for nonsense in ["nonsense", "", "{}"] {
        bucket.put(FillProgress::KEY, nonsense.into()).await.unwrap();
        assert!(told(&mut reader).await.is_some(), "what was told last stays");
    }
    bucket.delete(FillProgress::KEY).await.unwrap();
    assert!(told(&mut reader).await.is_some());
    reader.set_beside(Some(beside("larger", Some("other"))));
    assert!(reader.progress().is_some(), "it is the same model");
    reader.set_beside(None);
    assert_eq!(told(&mut reader).await, None);
}

#[tokio::test]
async fn what_was_told_of_an_earlier_fill_is_not_told_of_this_one() {
    let server = servers::nats(&[]).await;
    let mut reader = reader(&server, Login::Anonymous);
    bucket(&server, 1000).await;
    let later = Timestamp::now() + Duration::from_secs(1);
    for (filled_since, is_told) in [(Some(Timestamp::UNIX_EPOCH), true), (Some(later), false), (None, false)] {
        reader.set_beside(Some(Beside { filled_since, ..beside("larger", None) }));
        reader.read().await.unwrap();
        assert_eq!(reader.progress().is_some(), is_told, "{filled_since:?}");
    }
}

/// A queue of somebody else's may have told the operator of its jobs alone.
#[tokio::test]
async fn whoever_may_not_ask_how_far_it_is_reads_the_lag_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let user = |name: &str, further: &str| {
        let publish = format!("\"$JS.API.STREAM.INFO.>\", \"$JS.API.CONSUMER.LIST.>\"{further}");
        let permissions = format!("{{publish: [{publish}], subscribe: \"_INBOX.>\"}}");
        format!("{{user: {name}, password: open, permissions: {permissions}}}")
    };
    let users = [user("few", ""), user("more", ", \"$JS.API.STREAM.MSG.GET.KV_photos-models\"")].join(", ");
    let all = "{user: all, password: open}";
    std::fs::write(&config, format!("no_auth_user: all, authorization: {{users: [{users}, {all}]}}")).unwrap();
    let server = servers::nats(&["-c", config.to_str().unwrap()]).await;
    stream(&server, 4).await;
    bucket(&server, 500).await;
    for (name, is_told) in [("few", false), ("more", true)] {
        let mut reader = reader(&server, Login::User { user: name.into(), password: Secret::new("open") });
        reader.set_beside(Some(beside("larger", None)));
        for _ in 0..2 {
            let begun = Instant::now();
            assert_eq!(reader.read().await.unwrap().total(), 4, "{name}");
            assert!(begun.elapsed() < READ_TIMEOUT, "{name}: {:?}", begun.elapsed());
            assert_eq!(reader.progress().is_some(), is_told, "{name}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let accounts = "accounts: {images: {users: [{user: images, password: open}]}}";
    std::fs::write(&config, accounts).unwrap();
    let server = servers::nats(&["-c", config.to_str().unwrap()]).await;
    let user = |password: &str| Login::User { user: "images".into(), password: Secret::new(password) };
    // Without JetStream for the account.
    let error = reader(&server, user("open")).read().await.unwrap_err();
    assert!(matches!(error, LagError::Request { .. } | LagError::Refused { .. }), "{error:?}");
    let error = reader(&server, user("guessed")).read().await.unwrap_err();
    assert!(matches!(error, LagError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn users_with_few_permissions_and_tokens_are_let_in() {
    let server = servers::nats(&["--user", "images", "--pass", "open"]).await;
    let user = Login::User { user: "images".into(), password: Secret::new("open") };
    reader(&server, user.clone()).read().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let permissions = r#"{publish: ["$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.LIST.>"], subscribe: "_INBOX.>"}"#;
    let users = format!("authorization: {{users: [{{user: images, password: open, permissions: {permissions}}}]}}");
    std::fs::write(&config, users).unwrap();
    let server = servers::nats(&["-c", config.to_str().unwrap()]).await;
    reader(&server, user).read().await.unwrap();
    let server = servers::nats(&["--auth", "key"]).await;
    reader(&server, Login::Token(Secret::new("key"))).read().await.unwrap();
    let error = reader(&server, Login::Credentials(Secret::new("nonsense"))).read().await.unwrap_err();
    assert!(matches!(error, LagError::Settings { what: "nats.creds", .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_was_away_is_asked_again() {
    let mut server = servers::nats(&[]).await;
    let mut reader = reader(&server, Login::Anonymous);
    stream(&server, 3).await;
    assert_eq!(reader.read().await.unwrap().total(), 3);
    server.kill();
    reader.read().await.unwrap_err();
    reader.read().await.unwrap_err();
    server.restart().await;
    assert_eq!(reader.read().await.unwrap().total(), 3);

    server.pause();
    // What it was about to answer when the signal came may still arrive.
    let error = loop {
        let begun = Instant::now();
        if let Err(error) = reader.read().await {
            assert!(begun.elapsed() < READ_TIMEOUT * 2, "{:?}", begun.elapsed());
            break error.to_string();
        }
    };
    assert!(error.contains("did not answer") && error.contains(&server.port().to_string()), "{error}");
    server.resume();
    assert_eq!(reader.read().await.unwrap().total(), 3);
}

#[tokio::test]
async fn a_reader_that_is_dropped_looks_for_no_server_any_more() {
    let mut server = servers::nats(&[]).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut reader = reader(&server, Login::Anonymous);
    reader.read().await.unwrap();
    assert!(tasks() > before);
    server.kill();
    for _ in 0..5 {
        reader.read().await.unwrap_err();
    }
    drop(reader);
    let begun = Instant::now();
    while tasks() > before {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} tasks are left", tasks() - before);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_error_names_the_server_without_its_password() {
    let mut reader = LagReader::new(
        Nats {
            servers: vec!["nats://user:secret@127.0.0.1:1".into(), "user:secret@127.0.0.1:2".into()],
            login: Login::Anonymous,
            ca: None,
            certificate: None,
        },
        STREAM.into(),
    );
    let error = reader.read().await.unwrap_err().to_string();
    assert_eq!(error, "cannot connect to NATS at nats://127.0.0.1:1, 127.0.0.1:2");
    assert!(!format!("{:?}", nats_with_secrets()).contains("secret"));
}

fn nats_with_secrets() -> Nats {
    let user = Login::User { user: "images".into(), password: Secret::new("secret") };
    Nats { servers: Vec::new(), login: user, ca: None, certificate: Some((String::new(), Secret::new("secret"))) }
}

/// Runs openssl, as a user does who makes certificates.
fn openssl(folder: &std::path::Path, arguments: &str) {
    let mut command = std::process::Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(folder).output().expect("openssl is needed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn mutual_tls_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    openssl(path, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=tests");
    for (name, extension) in [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")] {
        openssl(path, &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        std::fs::write(path.join("extensions"), extension).unwrap();
        let sign = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions";
        openssl(path, &format!("x509 -req -in {name}.csr -out {name}.crt {sign}"));
    }
    let file = |name: &str| path.join(name).to_str().unwrap().to_owned();
    let server = servers::nats(&[
        "--tls",
        "--tlsverify",
        "--tlscert",
        &file("server.crt"),
        "--tlskey",
        &file("server.key"),
        "--tlscacert",
        &file("ca.crt"),
    ])
    .await;
    let text = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let certificate = Some((text("client.crt"), Secret::new(text("client.key"))));
    let nats = Nats { ca: Some(text("ca.crt")), certificate, ..nats(&server, Login::Anonymous) };
    let read = async |nats: &Nats| LagReader::new(nats.clone(), STREAM.into()).read().await;
    read(&nats).await.unwrap();
    read(&Nats { certificate: None, ..nats.clone() }).await.unwrap_err();
    read(&Nats { ca: None, ..nats.clone() }).await.unwrap_err();
    for (wrong, what) in [
        (Nats { ca: Some("no PEM".into()), ..nats.clone() }, "ca.crt"),
        (Nats { certificate: Some((text("client.crt"), Secret::new("no PEM"))), ..nats.clone() }, "tls.key"),
        (Nats { certificate: Some(("no PEM".into(), Secret::new(text("client.key")))), ..nats }, "tls.crt"),
    ] {
        assert!(matches!(read(&wrong).await, Err(LagError::Settings { what: found, .. }) if found == what), "{what}");
    }
}
