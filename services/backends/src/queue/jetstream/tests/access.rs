//! Reaching the servers: who is let in, and what is said when nobody answers.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use shared::config::{Jetstream, Secret};
use tokio::time::Instant;

use super::{open, refusal};
use crate::queue::{JobQueue, jetstream::server::namespace};

#[tokio::test]
async fn servers_that_are_away_are_named_and_the_deadline_is_kept() {
    let config =
        Jetstream { servers: vec!["nats://user:secret@127.0.0.1:1".into()], timeout_ms: 500, ..namespace().await };
    let begun = Instant::now();
    let message = refusal(&config).await;
    assert!(message.contains("127.0.0.1:1") && !message.contains("secret"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn users_and_tokens_are_checked() {
    let by_user = servers::nats(&["--user", "images", "--pass", "open"]).await;
    let config = Jetstream { servers: vec![by_user.url()], user: Some("images".into()), ..Jetstream::default() };
    let with = |password: &str| Jetstream { password: Some(Secret::new(password)), ..config.clone() };
    open(&with("open")).await.ready().await.unwrap();
    let message = refusal(&with("guessed")).await;
    assert!(message.contains("authorization") && !message.contains("guessed"), "{message}");
    assert!(message.contains("queue.user images with queue.password"), "{message}");

    let by_token = servers::nats(&["--auth", "key"]).await;
    let config = Jetstream { servers: vec![by_token.url()], token: Some(Secret::new("key")), ..Jetstream::default() };
    open(&config).await.ready().await.unwrap();
    let message = refusal(&Jetstream { token: Some(Secret::new("no key")), ..config.clone() }).await;
    assert!(message.contains("queue.token") && !message.contains("no key"), "{message}");
    let message = refusal(&Jetstream { token: None, ..config }).await;
    assert!(message.contains("without queue.credentials_file, queue.token or queue.user"), "{message}");
}

fn credentials(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/queue/jetstream/tests/credentials").join(name)
}

#[tokio::test]
async fn a_credentials_file_lets_in_and_those_of_others_are_refused_with_the_setting_named() {
    let server = servers::nats(&["-c", credentials("server.conf").as_str()]).await;
    let config = Jetstream { servers: vec![server.url()], ..Jetstream::default() };
    let with = |path: &Utf8Path| Jetstream { credentials_file: Some(path.to_owned()), ..config.clone() };
    open(&with(&credentials("images.creds"))).await.ready().await.unwrap();

    // Whoever has seen the user's token has not its key.
    let read = |name: &str| std::fs::read_to_string(credentials(name)).unwrap();
    let (token, key) = (read("images.creds"), read("stranger.creds"));
    let seed = "-----BEGIN USER NKEY SEED-----";
    let stolen = format!("{}{seed}{}", token.split(seed).next().unwrap(), key.split(seed).nth(1).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("stolen.creds");
    std::fs::write(&path, stolen).unwrap();
    for refused in [credentials("stranger.creds"), path.clone()] {
        let message = refusal(&with(&refused)).await;
        assert!(message.contains(&format!("queue.credentials_file {refused}")), "{message}");
        assert!(message.contains("authorization"), "{message}");
        let secrets = std::fs::read_to_string(&refused).unwrap();
        assert!(secrets.lines().all(|line| line.is_empty() || !message.contains(line)), "{message}");
    }
    std::fs::write(&path, "no credentials").unwrap();
    for unusable in [path, credentials("absent.creds")] {
        let message = refusal(&with(&unusable)).await;
        assert!(message.contains(&format!("queue.credentials_file {unusable}")), "{message}");
    }
    let message = refusal(&config).await;
    assert!(message.contains("without queue.credentials_file"), "{message}");
}

#[tokio::test]
async fn mutual_tls_is_spoken_and_a_client_without_a_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap();
    servers::certificates(folder.path());
    let file = |name: &str| path.join(name).into_string();
    let certificates = [file("server.pem"), file("server.key"), file("ca.pem")];
    let [certificate, key, ca] = certificates.each_ref().map(String::as_str);
    let server =
        servers::nats(&["--tls", "--tlscert", certificate, "--tlskey", key, "--tlsverify", "--tlscacert", ca]).await;
    let config = Jetstream {
        servers: vec![server.url()],
        ca_file: Some(path.join("ca.pem")),
        certificate_file: Some(path.join("client.pem")),
        key_file: Some(path.join("client.key")),
        ..Jetstream::default()
    };
    open(&config).await.ready().await.unwrap();
    refusal(&Jetstream { certificate_file: None, key_file: None, ..config.clone() }).await;
    refusal(&Jetstream { ca_file: None, ..config }).await;
}
