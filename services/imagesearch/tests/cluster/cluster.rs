//! Four roles and three stores, and what tests ask of them.

mod ending;
mod fixtures;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Response, StatusCode, multipart};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use servers::{Ports, Server};

pub(crate) use self::fixtures::{again, fixture, photos};

/// Generous: it bounds a hang, it measures nothing.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);
pub(crate) const DEPLOYMENT: &str = "images";
/// Larger uploads are sent in parts; the smallest that S3 takes.
pub(crate) const PART_BYTES: usize = 5 << 20;
pub(crate) const POLL: Duration = Duration::from_millis(50);
/// The admin port, from the first of a process.
const ADMIN: u16 = 4;

pub(crate) struct Stores {
    pub(crate) nats: Server,
    pub(crate) s3: Server,
    pub(crate) milvus: Server,
}

impl Stores {
    pub(crate) async fn start() -> Self {
        let (nats, s3, milvus) = tokio::join!(servers::nats(&[]), servers::s3(&[]), servers::milvus(&[]));
        Self { nats, s3, milvus }
    }

    /// Settings of a deployment that shares these stores with others of other names.
    fn environment(&self, deployment: &str) -> Vec<(&'static str, String)> {
        let s3 = servers::settings(&self.s3, deployment);
        let secret = |secret: Option<shared::config::Secret>| secret.unwrap().reveal().to_owned();
        vec![
            ("IMAGESEARCH_OBJECTS__TYPE", "s3".into()),
            ("IMAGESEARCH_OBJECTS__ENDPOINT", self.s3.url()),
            ("IMAGESEARCH_OBJECTS__BUCKET", s3.bucket),
            ("IMAGESEARCH_OBJECTS__CREATE_BUCKET", "true".into()),
            ("IMAGESEARCH_OBJECTS__PART_SIZE_BYTES", PART_BYTES.to_string()),
            ("IMAGESEARCH_OBJECTS__ACCESS_KEY_ID", secret(s3.access_key_id)),
            ("IMAGESEARCH_OBJECTS__SECRET_ACCESS_KEY", secret(s3.secret_access_key)),
            ("IMAGESEARCH_QUEUE__TYPE", "jetstream".into()),
            ("IMAGESEARCH_QUEUE__NAME", deployment.into()),
            ("IMAGESEARCH_QUEUE__SERVERS", self.nats.url()),
            ("IMAGESEARCH_INDEX__TYPE", "milvus".into()),
            ("IMAGESEARCH_INDEX__COLLECTION_PREFIX", deployment.into()),
            ("IMAGESEARCH_INDEX__URL", self.milvus.url()),
            ("IMAGESEARCH_INGESTWORKER__LEASE_MS", "3000".into()),
            ("IMAGESEARCH_INGESTAPI__SWEEP_INTERVAL_S", "5".into()),
            ("IMAGESEARCH_INGESTAPI__STRAY_AFTER_S", "10".into()),
        ]
    }

    /// Runs a command on the stores of a deployment.
    pub(crate) fn command(&self, deployment: &str, arguments: &[&str]) -> Result<String, String> {
        self.command_with(deployment, arguments, &[])
    }

    /// The same with further settings.
    pub(crate) fn command_with(
        &self,
        deployment: &str,
        arguments: &[&str],
        more: &[(&'static str, &str)],
    ) -> Result<String, String> {
        let mut environment = self.environment(deployment);
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        command(&environment, arguments)
    }
}

/// Runs a command of the program; what it prints, also when it fails.
pub(crate) fn command(environment: &[(&'static str, String)], arguments: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_imagesearch"))
        .args(arguments)
        .current_dir(folder.path())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(told) } else { Err(told) }
}

/// One role as a process, or a command that takes its time.
pub(crate) struct Process {
    role: &'static str,
    command: Vec<String>,
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    ports: Ports,
    child: Child,
}

impl Process {
    pub(crate) fn start(role: &'static str, stores: &Stores, deployment: &str) -> Self {
        Self::start_with(role, stores, deployment, &[])
    }

    pub(crate) fn start_with(
        role: &'static str,
        stores: &Stores,
        deployment: &str,
        more: &[(&'static str, &str)],
    ) -> Self {
        Self::launch(role, vec![role.to_owned()], stores.environment(deployment), more)
    }

    /// A command that takes its time.
    pub(crate) fn start_command(
        command: &[&'static str],
        stores: &Stores,
        deployment: &str,
        more: &[(&'static str, &str)],
    ) -> Self {
        let words = command.iter().map(|word| (*word).to_owned()).collect();
        Self::launch(command[0], words, stores.environment(deployment), more)
    }

    /// From the role's file in `conf/`, with nothing beside it but addresses and credentials.
    pub(crate) fn start_as_shipped(role: &'static str, stores: &Stores) -> Self {
        let file = format!("{}/../../conf/{role}.yaml", env!("CARGO_MANIFEST_DIR"));
        let mut environment = stores.environment("imagesearch");
        let are_needed = ["ENDPOINT", "SERVERS", "URL", "KEY", "KEY_ID"];
        environment.retain(|(name, _)| are_needed.iter().any(|end| name.ends_with(end)));
        Self::launch(role, vec![role.to_owned(), "--config".into(), file], environment, &[])
    }

    fn launch(
        role: &'static str,
        command: Vec<String>,
        mut environment: Vec<(&'static str, String)>,
        more: &[(&'static str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::reserve();
        // `up` listens on all of them, and is spoken to at the frontend's.
        let listeners = [
            "IMAGESEARCH_FRONTEND__LISTEN",
            "IMAGESEARCH_INGESTAPI__LISTEN",
            "IMAGESEARCH_SEARCHAPI__LISTEN",
            "IMAGESEARCH_CDNAPI__LISTEN",
            "IMAGESEARCH_ADMIN__LISTEN",
        ];
        environment
            .extend(listeners.into_iter().zip(ports.all()).map(|(name, port)| (name, format!("127.0.0.1:{port}"))));
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let child = spawn(&command, folder.path(), &environment);
        Self { role, command, folder, environment, ports, child }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let position = match self.role {
            "ingestapi" => 1,
            "searchapi" => 2,
            "cdnapi" => 3,
            _ => 0,
        };
        format!("http://127.0.0.1:{}{path}", self.ports.first() + position)
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.first() + ADMIN)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.command, self.folder.path(), &self.environment);
    }

    /// SIGSTOP: it keeps what it holds and does nothing.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) async fn readiness(&self) -> Option<(StatusCode, Value)> {
        let response = reqwest::get(self.admin_url("/readyz")).await.ok()?;
        Some((response.status(), response.json().await.ok()?))
    }

    pub(crate) async fn until_ready(&mut self) {
        let started = Instant::now();
        while !matches!(self.readiness().await, Some((StatusCode::OK, _))) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status}:\n{}", self.role, self.log());
            }
            assert!(started.elapsed() < DEADLINE, "{} did not become ready:\n{}", self.role, self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until no task is queued or being worked on; gives the number of tasks by status.
    pub(crate) async fn until_idle(&self) -> Value {
        let started = Instant::now();
        loop {
            let counts = match reqwest::get(self.url("/api/v1/ingest?limit=1")).await {
                Ok(answer) => answer.json::<Value>().await.unwrap()["counts"].clone(),
                Err(error) => Value::String(error.to_string()),
            };
            if counts["queued"] == 0 && counts["processing"] == 0 {
                return counts;
            }
            assert!(started.elapsed() < DEADLINE, "the queue did not empty: {counts}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The ids that a text finds through this `searchapi`, best first.
    pub(crate) async fn search(&self, text: &str, limit: usize) -> Vec<String> {
        let limit = limit.to_string();
        let request = reqwest::Client::new().get(self.url("/api/v1/image/search"));
        let response = request.query(&[("text", text), ("limit", &limit)]).send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}: {answer}");
        ids(&answer["results"])
    }

    /// Waits until the log has a line with this text.
    pub(crate) async fn until_logged(&self, text: &str) {
        let started = Instant::now();
        while !self.log().contains(text) {
            assert!(started.elapsed() < DEADLINE, "{} never said {text:?}:\n{}", self.role, self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("{}'s last lines:\n{}", self.role, tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) ingestapi: Process,
    pub(crate) workers: Vec<Process>,
    pub(crate) searchapi: Process,
    pub(crate) cdnapi: Process,
    pub(crate) stores: Stores,
    pub(crate) http: reqwest::Client,
}

impl Cluster {
    pub(crate) fn reindex(&self) -> Result<String, String> {
        self.stores.command(DEPLOYMENT, &["reindex"])
    }

    pub(crate) fn export(&self, file: &str) -> Result<String, String> {
        self.stores.command(DEPLOYMENT, &["export", file])
    }

    pub(crate) async fn start(workers: usize) -> Self {
        let mut cluster = Self::start_on(Stores::start().await, workers);
        cluster.until_ready().await;
        cluster
    }

    /// On stores that need not answer yet.
    pub(crate) fn start_on(stores: Stores, workers: usize) -> Self {
        Self::start_with(stores, workers, &[])
    }

    pub(crate) fn start_with(stores: Stores, workers: usize, more: &[(&'static str, &str)]) -> Self {
        let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        let start = |role| Process::start_with(role, &stores, DEPLOYMENT, more);
        let workers = (0..workers).map(|_| start("ingestworker")).collect();
        let [ingestapi, searchapi, cdnapi] = ["ingestapi", "searchapi", "cdnapi"].map(start);
        Self { ingestapi, workers, searchapi, cdnapi, stores, http }
    }

    /// Starts one more worker.
    pub(crate) fn add_worker(&mut self, more: &[(&'static str, &str)]) {
        self.workers.push(Process::start_with("ingestworker", &self.stores, DEPLOYMENT, more));
    }

    /// Starts `ingestapi` again with other settings.
    pub(crate) async fn restart_ingestapi(&mut self, more: &[(&'static str, &str)]) {
        self.ingestapi.kill();
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        self.ingestapi.environment.extend(more);
        self.ingestapi.start_again();
        self.ingestapi.until_ready().await;
    }

    pub(crate) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        [&mut self.ingestapi, &mut self.searchapi, &mut self.cdnapi].into_iter().chain(&mut self.workers)
    }

    pub(crate) async fn until_ready(&mut self) {
        for process in self.processes() {
            process.until_ready().await;
        }
    }

    /// A second of each role that answers requests.
    pub(crate) fn start_others(&self) -> [Process; 3] {
        ["ingestapi", "searchapi", "cdnapi"].map(|role| Process::start(role, &self.stores, DEPLOYMENT))
    }

    pub(crate) async fn try_upload(&self, name: &str, bytes: Vec<u8>) -> reqwest::Result<Response> {
        self.try_upload_to(&self.ingestapi, name, bytes).await
    }

    async fn try_upload_to(&self, ingestapi: &Process, name: &str, bytes: Vec<u8>) -> reqwest::Result<Response> {
        let part = multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form = multipart::Form::new().part("file", part);
        self.http.post(ingestapi.url("/api/v1/ingest")).multipart(form).send().await
    }

    /// Uploads one image; returns its entry of the answer.
    pub(crate) async fn upload(&self, name: &str, bytes: Vec<u8>) -> Value {
        self.upload_to(&self.ingestapi, name, bytes).await
    }

    pub(crate) async fn upload_to(&self, ingestapi: &Process, name: &str, bytes: Vec<u8>) -> Value {
        let response = self.try_upload_to(ingestapi, name, bytes).await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{name}: {answer}");
        answer["tasks"][0].clone()
    }

    pub(crate) async fn delete(&self, id: &str) -> StatusCode {
        let url = self.ingestapi.url(&format!("/api/v1/ingest/images/{id}"));
        self.http.delete(url).send().await.unwrap().status()
    }

    /// Waits until another process serves a picture no longer: it may keep it for a second.
    pub(crate) async fn until_gone(&self, id: &str) {
        self.until_picture(id, StatusCode::NOT_FOUND).await;
    }

    /// Waits until a picture is answered with this status.
    pub(crate) async fn until_picture(&self, id: &str, status: StatusCode) {
        let started = Instant::now();
        let url = self.cdnapi.url(&format!("/images/{id}"));
        while self.http.get(&url).send().await.unwrap().status() != status {
            assert!(started.elapsed() < DEADLINE, "picture {id} is not answered with {status}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn until_idle(&self) -> Value {
        self.ingestapi.until_idle().await
    }

    pub(crate) async fn search(&self, text: &str, limit: usize) -> Vec<String> {
        self.searchapi.search(text, limit).await
    }

    /// Every indexed image id.
    pub(crate) async fn indexed(&self) -> Vec<String> {
        let images = self.all(&self.searchapi.url("/api/v1/image"), "images").await;
        ids(&Value::Array(images))
    }

    /// Every task that is listed.
    pub(crate) async fn tasks(&self) -> Vec<Value> {
        self.all(&self.ingestapi.url("/api/v1/ingest"), "tasks").await
    }

    /// What a list holds, page after page; a page that a store could not give yet is asked for again, as clients do.
    async fn all(&self, url: &str, member: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        let started = Instant::now();
        loop {
            let mut request = self.http.get(url).query(&[("limit", "100")]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let response = request.send().await.unwrap();
            if response.status() == StatusCode::SERVICE_UNAVAILABLE && started.elapsed() < DEADLINE {
                tokio::time::sleep(POLL).await;
                continue;
            }
            let status = response.status();
            let page: Value = response.json().await.unwrap();
            assert_eq!(status, StatusCode::OK, "{url}: {page}");
            found.extend(page[member].as_array().unwrap().iter().cloned());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return found;
            }
        }
    }

    /// `imagesearch check --deep` on the same stores: what it prints when they differ.
    pub(crate) fn check(&self) -> Result<String, String> {
        self.stores.command(DEPLOYMENT, &["check", "--deep", "--idle"])
    }
}

fn spawn(command: &[String], folder: &Path, environment: &[(&'static str, String)]) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_imagesearch"))
        .args(command)
        .arg("--data-dir")
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
