//! The command line when something is wrong: with what it is told, with the files, with the server.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::server::{DEADLINE, Server, fixtures};

fn imagesearch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagesearch"));
    command.args(arguments).env_remove("IMAGESEARCH_SERVER").env_remove("IMAGESEARCH_API_KEY").stdin(Stdio::null());
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn last_line(output: &Output) -> Value {
    serde_json::from_slice(output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap()
}

#[test]
fn a_command_that_makes_no_sense_is_refused_before_anything_is_asked() {
    let id = "0".repeat(64);
    for (arguments, part) in [
        (&["ingest"][..], "PATH|URL|-"),
        (&["ingest", "x", "--field", "rating"], "NAME=VALUE"),
        (&["ingest", "x", "--jobs", "0"], "1..=64"),
        (&["search"], "TEXT"),
        (&["search", "--like", "giraffe"], "not an image id"),
        (&["search", "--like", &id, "--image", "x"], "cannot be used with"),
        (&["search", "cat", "--text-weight", "0.5"], "--image"),
        (&["status", "nonsense"], "not a task id"),
        (&["delete", "nonsense"], "not an image id"),
        (&["status", "--server", "ftp://here"], "http://host:port"),
        (&["config", "--data-dir", ""], "must name a folder"),
        (&["keys", "create", "--name", "x", "--scope", "fly"], "use read, ingest, delete or admin"),
        (&["serch"], "'search'"),
    ] {
        let (code, text) = told(&imagesearch(arguments).output().unwrap());
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = imagesearch(&["--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let codes = help.split_once("Exit codes:").expect("a section").1;
    for code in ["0", "1", "2", "3", "4", "5", "130"] {
        assert!(codes.lines().any(|line| line.split_whitespace().next() == Some(code)), "{code} is not in {codes}");
    }
}

#[test]
fn a_server_that_is_away_is_told_at_once_and_as_json_when_asked() {
    for arguments in
        [&["status"][..], &["search", "cat"], &["ingest", "http://example.org/a.jpg"], &["delete", &"0".repeat(64)]]
    {
        let output = imagesearch(arguments).args(["--json", "--server", "127.0.0.1:1"]).output().unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((output.status.code(), &error["exit_code"]), (Some(3), &Value::from(3)), "{arguments:?}");
        assert!(error["error"].as_str().unwrap().contains("http://127.0.0.1:1"), "{error}");
    }
}

#[test]
fn a_mistyped_data_folder_does_not_pass_for_an_empty_collection() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let archive = folder.path().join("all.tar.zst");
    for arguments in [&["check"][..], &["reindex"], &["export", archive.to_str().unwrap()]] {
        let (code, text) = told(&imagesearch(arguments).arg("--data-dir").arg(&absent).output().unwrap());
        assert_eq!(code, Some(5), "{arguments:?}: {text}");
        assert!(text.contains("--data-dir"), "{text}");
    }
    assert!(!absent.exists() && !archive.exists());
}

#[test]
fn keys_take_their_folder_before_or_after_the_verb_and_miss_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let make = ["keys", "create", "--name", "laptop", "--scope", "read", "--json", "--data-dir", data_dir];
    let made = last_line(&imagesearch(&make).output().unwrap());
    assert_eq!(made["scopes"], serde_json::json!(["read"]));
    let listed = last_line(&imagesearch(&["keys", "--data-dir", data_dir, "list", "--json"]).output().unwrap());
    assert_eq!(listed["id"], made["id"]);
    assert_eq!(told(&imagesearch(&["keys", "revoke", "nope", "--data-dir", data_dir]).output().unwrap()).0, Some(5));
}

#[test]
fn variables_that_are_no_text_stop_nobody_unless_they_are_settings() {
    let odd = OsStr::from_bytes(b"\xff\xfe");
    assert!(imagesearch(&["config"]).env("LS_COLORS", odd).output().unwrap().status.success());
    let (code, text) = told(&imagesearch(&["config"]).env("IMAGESEARCH_LOG__FILTER", odd).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(text.contains("IMAGESEARCH_LOG__FILTER is not UTF-8"), "{text}");
}

#[test]
fn a_reader_that_has_enough_ends_the_command_quietly() {
    for arguments in [&["completions", "zsh"][..], &["openapi"], &["config"]] {
        // The pipe is closed before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, text) = told(&imagesearch(arguments).stdout(writer).output().unwrap());
        assert_eq!((code, text.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn every_shell_gets_a_completion_script() {
    for (shell, start) in
        [("bash", "_imagesearch()"), ("zsh", "#compdef imagesearch"), ("fish", "complete -c imagesearch")]
    {
        let script = String::from_utf8(imagesearch(&["completions", shell]).output().unwrap().stdout).unwrap();
        assert!(script.contains(start) && script.contains("text-weight"), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_told_and_the_rest_is_done() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let odd_name = folder.path().join(OsStr::from_bytes(b"caf\xe9.jpg"));
    fs::copy(fixtures().join("photos/cat.jpg"), &odd_name).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.jpg")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments =
        ["ingest", path, "absent.jpg", "ftp://example.org/a.jpg", "http://", "http://a:b@example.org/a.jpg", "--json"];
    let output = server.command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let counts = last_line(&output);
    assert_eq!(
        (counts["indexed"].as_u64(), counts["failed"].as_u64()),
        (Some(1), Some(5)),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(server.indexed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_url_is_told_also_when_none_is_taken() {
    let server = Server::start().await;
    let output = server
        .command(&["ingest", "http://a:b@example.org/a.jpg", "http://a:b@example.org/b.jpg", "--json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("/a.jpg") && told.contains("/b.jpg"), "{told}");
    assert_eq!(last_line(&output)["failed"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_on_standard_input_is_taken_line_by_line() {
    let server = Server::start().await;
    let mut command = server.command(&["ingest", "-", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let photos = fixtures().join("photos");
    let list = format!("{0}/cat.jpg\r\n\n  absent.jpg\n{0}/owl.jpg", photos.display());
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let counts = last_line(&output);
    assert_eq!((counts["indexed"].as_u64(), counts["failed"].as_u64()), (Some(2), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_is_interrupted_is_continued() {
    let server = Server::start().await;
    let photos = fixtures().join("photos");
    let ingest = ["ingest", photos.to_str().unwrap(), "--json", "--jobs", "1"];
    let mut first = server.command(&ingest).stdout(Stdio::piped()).spawn().unwrap();
    let started = std::time::Instant::now();
    while server.indexed().await.is_empty() {
        assert!(started.elapsed() < DEADLINE, "nothing is indexed");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let second = server.command(&ingest).output().unwrap();
    assert!(second.status.success());
    let counts = last_line(&second);
    assert!(counts["present"].as_u64().unwrap() >= 1, "{counts}");
    let all = crate::server::captions().len();
    assert_eq!(counts["present"].as_u64().unwrap() + counts["indexed"].as_u64().unwrap(), all as u64, "{counts}");
    assert_eq!(server.indexed().await.len(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_outlives_a_restart_of_its_server() {
    let mut server = Server::start().await;
    let photos = fixtures().join("photos");
    let mut child =
        server.command(&["ingest", photos.to_str().unwrap(), "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let started = std::time::Instant::now();
    while server.indexed().await.is_empty() {
        assert!(started.elapsed() < DEADLINE, "nothing is indexed");
    }
    server.kill();
    server.start_again().await;
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    assert_eq!(server.indexed().await.len(), crate::server::captions().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_failures_or_that_there_are_none() {
    let server = Server::start().await;
    let status = |arguments: &[&str]| String::from_utf8(server.command(arguments).output().unwrap().stdout).unwrap();
    assert_eq!(status(&["status", "--failed"]), "no task has failed\n");
    assert_eq!(status(&["status", "--failed", "--json"]), "");
    let entry = server.upload("broken.png", b"\x89PNG\r\n\x1a\nand then nothing".to_vec()).await;
    server.ended(&entry["task_id"]).await;
    let failed: Value = serde_json::from_str(&status(&["status", "--failed", "--json"])).unwrap();
    assert_eq!((&failed["name"], &failed["error"]["code"]), (&Value::from("broken.png"), &Value::from("corrupt")));
    let one = server.command(&["status", entry["task_id"].as_str().unwrap()]).output().unwrap();
    assert_eq!(one.status.code(), Some(1), "the task failed");
}
