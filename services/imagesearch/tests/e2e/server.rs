//! A running `imagesearch up` in a folder of its own, and what tests ask of it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Response, StatusCode, multipart};
use serde_json::Value;
use servers::Ports;

/// Generous: it bounds a hang, it measures nothing.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
pub(crate) const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    _ports: Ports,
    environment: Vec<(String, String)>,
    pub(crate) frontend: String,
    pub(crate) admin: String,
    pub(crate) http: reqwest::Client,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with further settings, as environment variables without their prefix: `("INGESTAPI__MAX_IMAGE_BYTES", "1000")`;
    /// those that begin with `OTEL_` are complete.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::reserve();
        let roles = ["FRONTEND", "ADMIN", "INGESTAPI", "SEARCHAPI", "CDNAPI"];
        let mut environment: Vec<(String, String)> = roles
            .iter()
            .zip(ports.all())
            .map(|(role, port)| (format!("IMAGESEARCH_{role}__LISTEN"), format!("127.0.0.1:{port}")))
            .collect();
        let variable = |name: &str| if name.starts_with("OTEL_") { name.into() } else { format!("IMAGESEARCH_{name}") };
        environment.extend(settings.iter().map(|(name, value)| (variable(name), (*value).to_owned())));
        let child = spawn(folder.path(), &environment);
        let mut server = Self {
            child,
            folder,
            environment,
            frontend: format!("http://127.0.0.1:{}", ports.first()),
            admin: format!("http://127.0.0.1:{}", ports.first() + 1),
            _ports: ports,
            http: reqwest::Client::new(),
        };
        server.until_ready().await;
        server
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.frontend)
    }

    /// SIGKILL: nothing is finished, nothing is flushed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// A further setting, from the next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((format!("IMAGESEARCH_{name}"), value.to_owned()));
    }

    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.environment);
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let url = format!("{}/readyz", self.admin);
        let started = Instant::now();
        loop {
            if let Ok(response) = self.http.get(&url).send().await
                && response.status() == StatusCode::OK
            {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(started.elapsed() < DEADLINE, "the server did not become ready:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Uploads one image; returns its entry of the answer.
    pub(crate) async fn upload(&self, name: &str, bytes: Vec<u8>) -> Value {
        let response = self.try_upload(name, bytes).await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{name}");
        let answer: Value = response.json().await.unwrap();
        answer["tasks"][0].clone()
    }

    pub(crate) async fn try_upload(&self, name: &str, bytes: Vec<u8>) -> reqwest::Result<Response> {
        let part = multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form = multipart::Form::new().part("file", part);
        self.http.post(self.url("/api/v1/ingest")).multipart(form).send().await
    }

    /// Waits until a task has ended; returns it.
    pub(crate) async fn ended(&self, task_id: &Value) -> Value {
        let path = format!("/api/v1/ingest/{}", task_id.as_str().unwrap());
        let started = Instant::now();
        loop {
            let task = self.get_json(&path).await;
            if !matches!(task["status"].as_str(), Some("queued" | "processing")) {
                return task;
            }
            assert!(started.elapsed() < DEADLINE, "the task did not end: {task}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until no task is queued or being worked on.
    pub(crate) async fn until_idle(&self) {
        let started = Instant::now();
        loop {
            let counts = self.get_json("/api/v1/ingest?limit=1").await["counts"].clone();
            if counts["queued"] == 0 && counts["processing"] == 0 {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "the queue did not empty: {counts}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the sweep that follows a start has ended.
    pub(crate) async fn until_swept(&self) {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.rsplit_once("ready: open").is_some_and(|(_, since_start)| since_start.contains("swept: ")) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "the sweep did not end");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The ids that a text finds, best first.
    pub(crate) async fn search(&self, text: &str, limit: usize) -> Vec<String> {
        let limit = limit.to_string();
        let query = [("text", text), ("limit", &limit)];
        let response = self.http.get(self.url("/api/v1/image/search")).query(&query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{text}");
        ids(&response.json::<Value>().await.unwrap()["results"])
    }

    /// Every indexed image id, by paging through the list.
    pub(crate) async fn indexed(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.http.get(self.url("/api/v1/image")).query(&[("limit", "100")]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Value = request.send().await.unwrap().json().await.unwrap();
            found.extend(ids(&page["images"]));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return found;
            }
        }
    }

    /// Runs the command line against this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagesearch"));
        command.args(arguments).env("IMAGESEARCH_SERVER", &self.frontend).env_remove("IMAGESEARCH_API_KEY");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the server's last lines:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

fn spawn(folder: &Path, environment: &[(String, String)]) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_imagesearch"))
        .args(["up", "--data-dir"])
        .arg(folder.join("data"))
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

pub(crate) fn ids(images: &Value) -> Vec<String> {
    images.as_array().unwrap().iter().map(|image| image["image_id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub(crate) fn photo(name: &str) -> Vec<u8> {
    fs::read(fixtures().join("photos").join(name)).unwrap()
}

/// File names of the fixture photos with their captions.
pub(crate) fn captions() -> HashMap<String, String> {
    let text = fs::read_to_string(fixtures().join("photos/captions.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    entries.iter().map(|entry| (text(entry, "file"), text(entry, "caption"))).collect()
}

pub(crate) fn image_id(bytes: &[u8]) -> String {
    shared::ImageId::of(bytes).to_string()
}
