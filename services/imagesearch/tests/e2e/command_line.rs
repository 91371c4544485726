//! The command line against a running server, and on its own.

use std::{fs, process::Output};

use serde_json::Value;

use crate::server::{Server, fixtures, photo};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a command that is expected to end with `code`.
fn run(server: &Server, arguments: &[&str], code: i32) -> Output {
    let output = server.command(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}\n{errors}", text(&output));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_ingested_once_and_found() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    for (name, target) in
        [("giraffe.jpg", "a.jpg"), ("cat.jpg", "deep/b.jpg"), ("owl.jpg", "deep/owl without extension")]
    {
        fs::write(folder.path().join(target), photo(name)).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    let path = folder.path().to_str().unwrap();

    let first = lines(&run(&server, &["ingest", path, "--tag", "pets", "--json"], 0));
    assert_eq!(first.last().unwrap()["indexed"], 3);
    let again = lines(&run(&server, &["ingest", path, "--json"], 0));
    assert_eq!(again.last().unwrap()["present"], 3, "nothing is sent twice");

    let found = lines(&run(&server, &["search", "a giraffe", "--json", "-n", "1", "--filter", "tags:\"pets\""], 0));
    assert_eq!(found[0]["name"], "a.jpg");
    let picture = fixtures().join("photos/cat.jpg");
    let found = lines(&run(&server, &["search", "--image", picture.to_str().unwrap(), "--json", "-n", "1"], 0));
    assert_eq!(found[0]["name"], "b.jpg");
    let id = found[0]["image_id"].as_str().unwrap();

    assert!(text(&run(&server, &["status"], 0)).contains("3 images"));
    run(&server, &["delete", id], 0);
    run(&server, &["delete", id], 5);
    assert_eq!(lines(&run(&server, &["status", "--json"], 0))[0]["images"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_is_told_and_the_rest_is_done() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.png");
    fs::write(&broken, b"\x89PNG\r\n\x1a\nand then nothing").unwrap();
    let good = fixtures().join("photos/owl.jpg");
    let output = run(&server, &["ingest", broken.to_str().unwrap(), good.to_str().unwrap(), "--json"], 1);
    let counts = lines(&output).pop().unwrap();
    assert_eq!((counts["failed"].as_u64(), counts["indexed"].as_u64()), (Some(1), Some(1)));
    assert!(text(&run(&server, &["status", "--failed"], 0)).contains("broken.png"));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_through_an_archive() {
    let mut server = Server::start().await;
    for name in ["giraffe.jpg", "cat.jpg", "owl.jpg"] {
        server.upload(name, photo(name)).await;
    }
    server.until_idle().await;
    let deleted = server.search("an owl", 1).await.remove(0);
    run(&server, &["delete", &deleted], 0);
    let before = server.search("a giraffe", 10).await;
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    let archive = format!("{data_dir}.tar.zst");
    let refused = run(&server, &["export", &archive, "--data-dir", &data_dir], 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use"), "a running server holds the folder");
    server.stop();
    run(&server, &["export", &archive, "--data-dir", &data_dir], 0);

    let mut other = Server::start().await;
    let other_dir = other.data_dir().to_str().unwrap().to_owned();
    other.stop();
    run(&other, &["import", &archive, "--data-dir", &other_dir], 0);
    run(&other, &["import", &archive, "--data-dir", &other_dir], 0);
    other.start_again().await;
    other.until_idle().await;
    assert_eq!(other.search("a giraffe", 10).await, before, "same ids, same order");
    other.stop();
    run(&other, &["reindex", "--data-dir", &other_dir], 0);
    run(&other, &["check", "--deep", "--data-dir", &other_dir], 0);
    other.start_again().await;
    assert_eq!(other.search("a giraffe", 10).await, before, "a rebuild honours deletes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_once_there_is_one() {
    let server = Server::start().await;
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    let made =
        run(&server, &["keys", "--data-dir", &data_dir, "create", "--name", "laptop", "--scope", "read", "--json"], 0);
    let key = lines(&made)[0]["key"].as_str().unwrap().to_owned();
    let refused = server.command(&["search", "a cat"]);
    let mut refused = refused;
    let started = std::time::Instant::now();
    while refused.output().unwrap().status.code() != Some(4) {
        assert!(started.elapsed() < crate::server::DEADLINE, "the key file is not noticed");
    }
    let allowed = server.command(&["search", "a cat"]).env("IMAGESEARCH_API_KEY", &key).output().unwrap();
    assert!(allowed.status.success());
    let not_this = server.command(&["delete", &"0".repeat(64)]).env("IMAGESEARCH_API_KEY", &key).output().unwrap();
    assert_eq!(not_this.status.code(), Some(4), "a key that reads may not delete");
    assert!(!server.log().contains(&key), "no secret in the log");
    let listed = run(&server, &["keys", "--data-dir", &data_dir, "list"], 0);
    assert!(text(&listed).contains("laptop") && !text(&listed).contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_and_completions_are_printed() {
    let server = Server::start().await;
    let mut config = server.command(&["config"]);
    config.env("IMAGESEARCH_LOG__FILTER", "debug").env("IMAGESEARCH_MODEL__TOKEN", "very-secret");
    for source in ["IMAGESEARCH_MODEL__SOURCE", "IMAGESEARCH_MODEL__BESIDE__SOURCE"] {
        config.env(source, "https://somebody:very-secret@host/model.tar?token=very-secret");
    }
    let printed = text(&config.output().unwrap());
    assert!(printed.contains("filter: debug") && !printed.contains("very-secret"), "{printed}");

    let mut wrong = server.command(&["config"]);
    let output = wrong.env("IMAGESEARCH_LOG__FLITER", "debug").output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("log.filter"));

    assert!(text(&run(&server, &["completions", "bash"], 0)).contains("_imagesearch"));
    assert!(run(&server, &["config", "--bogus"], 2).stdout.is_empty());
    let away = server.command(&["status", "--server", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(away.status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_told_by_the_exit_code() {
    let server = Server::start().await;
    let health = |listen: &str| {
        let output = server.command(&["health"]).env("IMAGESEARCH_ADMIN__LISTEN", listen).output().unwrap();
        output.status.code()
    };
    assert_eq!(health(server.admin.trim_start_matches("http://")), Some(0));
    assert_eq!(health("127.0.0.1:1"), Some(3));
}
