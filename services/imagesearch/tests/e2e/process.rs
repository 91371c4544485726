//! The process as those who run it see it: start, logs, metrics, end.

use std::process::Command;

use serde_json::Value;

use crate::server::Server;

#[test]
fn nothing_is_served_beyond_this_machine_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["FRONTEND", "INGESTAPI", "SEARCHAPI", "CDNAPI"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagesearch"));
        command.args(["up", "--data-dir"]).arg(folder.path().join("data")).current_dir(&folder);
        for other in ["FRONTEND", "INGESTAPI", "SEARCHAPI", "CDNAPI", "ADMIN"] {
            let host = if other == role { "0.0.0.0" } else { "127.0.0.1" };
            command.env(format!("IMAGESEARCH_{other}__LISTEN"), format!("{host}:0"));
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{role}: {told}");
        assert!(told.contains("imagesearch keys create"), "{role}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_again_in_log_and_metrics() {
    let server = Server::start().await;
    let id = "0".repeat(64);
    let response = server.get(&format!("/api/v1/image/{id}")).await;
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    // A line is written before its answer is sent.
    let line = server.log().lines().find(|line| line.contains(&request_id)).expect("a line").to_owned();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["route"], &line["status"]), (&Value::from("/api/v1/image/{image_id}"), &Value::from(404)));

    let metrics = server.http.get(format!("{}/metrics", server.admin)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("/api/v1/image/{image_id}") && !metrics.contains(&id), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_text_when_asked_for() {
    let server = Server::start_with(&[("LOG__FORMAT", "text")]).await;
    let log = server.log();
    assert!(log.lines().any(|line| line.contains("ready: open")), "{log}");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_asked_for_is_a_success() {
    let mut server = Server::start().await;
    assert_eq!(server.stop(), Some(0));
    server.start_again().await;
    assert!(server.search("a giraffe", 1).await.is_empty());
}
