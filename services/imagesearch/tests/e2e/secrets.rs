//! Whatever is logged, and however much: nothing of it lets anybody in.

use serde_json::json;

use crate::server::{Server, photo};

/// What nothing but its owner may see, each where the program gets it from.
const HEADER: &str = "collector-token-3f9a61";
const HUB_TOKEN: &str = "hf_hub-token-88d2c4";
const URL_PASSWORD: &str = "url-password-51ce07";
const URL_SIGNATURE: &str = "url-signature-e7714b";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let headers = format!("authorization=Bearer {HEADER}");
    let server = Server::start_with(&[
        ("LOG__FILTER", "debug"),
        ("MODEL__TOKEN", HUB_TOKEN),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ])
    .await;
    let data_dir = server.data_dir();
    let arguments = ["keys", "--data-dir", data_dir.to_str().unwrap(), "create", "--name", "test", "--scope", "admin"];
    let created = server.command(&arguments).output().unwrap();
    let told = String::from_utf8([created.stdout, created.stderr].concat()).unwrap();
    let key = told
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .find(|word| word.starts_with("isk_"));
    let key = key.unwrap_or_else(|| panic!("{told}"));

    // In a header, in a body, in a cookie; the right one and a wrong one.
    let session = server.http.post(server.url("/api/v1/session")).json(&json!({"key": key})).send().await.unwrap();
    let cookie = session.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let session_secret = cookie.split_once('=').unwrap().1.to_owned();
    let wrong_key = "isk_wrong-key-a90b13";
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("Bearer {wrong_key}")),
        ("cookie", cookie),
    ] {
        server.http.get(server.url("/api/v1/image")).header(name, value).send().await.unwrap();
    }
    let form = reqwest::multipart::Form::new()
        .part("file", reqwest::multipart::Part::bytes(photo("giraffe.jpg")).file_name("giraffe.jpg"));
    server.http.post(server.url("/api/v1/ingest")).bearer_auth(key).multipart(form).send().await.unwrap();
    let urls = [
        format!("http://user:{URL_PASSWORD}@127.0.0.1/a.jpg"),
        format!("http://127.0.0.1:9/a.jpg?X-Amz-Signature={URL_SIGNATURE}"),
    ];
    let listed = server.http.post(server.url("/api/v1/ingest")).bearer_auth(key).json(&json!({"urls": urls}));
    let answer: serde_json::Value = listed.send().await.unwrap().json().await.unwrap();
    let task = answer["tasks"].as_array().unwrap().iter().find_map(|task| task["task_id"].as_str()).unwrap().to_owned();
    let ended = async || -> bool {
        let task =
            server.http.get(server.url(&format!("/api/v1/ingest/{task}"))).bearer_auth(key).send().await.unwrap();
        task.json::<serde_json::Value>().await.unwrap()["status"] == "failed"
    };
    while !ended().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    let log = server.log();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("job failed"), "{log}");
    for secret in [key, wrong_key, &session_secret, HEADER, HUB_TOKEN, URL_PASSWORD, URL_SIGNATURE] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in {line:?}");
    }
}
