//! Who may open a store, and where it is looked for.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};
use camino::Utf8PathBuf;
use shared::config::{S3, Secret};

use super::{
    PATIENCE, bucket_of,
    fake::{Fake, answer, take},
    folder, key, opened_at, read_all, run_alone, settings, settings_at,
};
use crate::objects::{ObjectError, ObjectStore, PutCondition, s3::S3Store};

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

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let server = Fake::start(|request| Some(take(request))).await;
    let context = refusal(&settings_at(&server.url)).await;
    assert!(context.contains("If-None-Match"), "{context}");
}

/// Remembers where requests would go and how they are signed, and lets none through.
#[derive(Debug, Clone, Default)]
struct Barrier(Arc<Mutex<Vec<(String, String)>>>);

impl Intercept for Barrier {
    fn name(&self) -> &'static str {
        "barrier"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let signature = request.headers().get("authorization").unwrap_or_default();
        self.0.lock().unwrap().push((request.uri().to_owned(), signature.to_owned()));
        Err("it goes no further".into())
    }
}

#[tokio::test]
async fn the_region_is_signed_for_and_the_bucket_stands_in_the_host_or_in_the_path() {
    for (endpoint, path_style, expected) in [
        (None, false, "https://photos.s3.eu-central-1.amazonaws.com/object?"),
        (None, true, "https://s3.eu-central-1.amazonaws.com/photos/object?"),
        (Some("http://store.test:9000"), false, "http://photos.store.test:9000/object?"),
        (Some("http://store.test:9000"), true, "http://store.test:9000/photos/object?"),
    ] {
        let mut settings = S3 { bucket: "photos".into(), prefix: None, path_style, ..settings_at("") };
        settings.endpoint = endpoint.map(str::to_owned);
        settings.region = "eu-central-1".into();
        let mut bucket = bucket_of(&settings, &folder()).await.unwrap();
        let barrier = Barrier::default();
        bucket.client = Client::from_conf(bucket.client.config().to_builder().interceptor(barrier.clone()).build());
        bucket.put("object", "bytes".into(), &PutCondition::None).await.unwrap_err();
        let (address, signature) = barrier.0.lock().unwrap()[0].clone();
        assert!(address.starts_with(expected), "{address}");
        assert!(signature.contains("/eu-central-1/s3/aws4_request"), "{signature}");
    }
}

#[tokio::test]
#[ignore = "started by the next ones"]
async fn put_with_keys_that_are_not_configured() {
    let settings = S3 { access_key_id: None, secret_access_key: None, ..settings().await };
    let bucket = bucket_of(&settings, &folder()).await.unwrap();
    bucket.put(&bucket.path(&key("object")), "bytes".into(), &PutCondition::None).await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "started by the next one"]
async fn open_without_keys() {
    let settings = S3 { access_key_id: None, secret_access_key: None, ..settings().await };
    let context = refusal(&settings).await;
    assert!(context.contains("there are no credentials; set objects.access_key_id"), "{context}");
}

#[tokio::test]
async fn who_has_no_keys_is_told_so() {
    run_alone("access::open_without_keys", &[]).await;
}

#[tokio::test]
async fn keys_are_taken_from_the_environment() {
    let settings = settings().await;
    // Makes the bucket.
    opened_at(&settings).await;
    let keys = [&settings.access_key_id, &settings.secret_access_key].map(|key| key.as_ref().unwrap().reveal());
    let keys = [("AWS_ACCESS_KEY_ID", keys[0]), ("AWS_SECRET_ACCESS_KEY", keys[1])];
    run_alone("access::put_with_keys_that_are_not_configured", &keys).await;
}

#[tokio::test]
async fn the_identity_of_a_pod_is_changed_for_keys() {
    const ASSUMED: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>\
        <Credentials><AccessKeyId>key-of-role</AccessKeyId><SecretAccessKey>secret-of-role</SecretAccessKey>\
        <SessionToken>session-of-role</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    let issuer = Fake::start(|_| Some(answer("200 OK", &[], ASSUMED))).await;
    let server = Fake::start(|request| Some(take(request))).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "token-of-pod").unwrap();
    let environment = [
        (servers::S3_ENDPOINT, server.url.as_str()),
        ("AWS_ENDPOINT_URL_STS", &issuer.url),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path().to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/photos"),
    ];
    run_alone("access::put_with_keys_that_are_not_configured", &environment).await;

    let asked = issuer.requests().remove(0).body;
    for part in ["Action=AssumeRoleWithWebIdentity", "WebIdentityToken=token-of-pod", "role%2Fphotos"] {
        assert!(asked.contains(part), "{asked}");
    }
    let put = server.requests().remove(0);
    assert_eq!(put.header("x-amz-security-token"), Some("session-of-role"));
    assert!(put.header("authorization").unwrap().contains("Credential=key-of-role/"), "{put:?}");
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
        assert!(started.elapsed() < PATIENCE, "it is not used again");
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
