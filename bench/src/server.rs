//! A running `imagesearch` in a folder of its own: all in one process, or one role.

use std::{
    fs::{self, File},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use camino::Utf8Path;
use futures::{StreamExt, TryStreamExt};
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde_json::Value;

use crate::processor;

/// Settings as variables.
pub(crate) type Environment = Vec<(String, String)>;

const ROLES: [&str; 5] = ["FRONTEND", "ADMIN", "INGESTAPI", "SEARCHAPI", "CDNAPI"];
const DEADLINE: Duration = Duration::from_mins(10);
/// Rare enough that asking takes no CPU worth counting from what is measured.
const POLL: Duration = Duration::from_millis(10);
/// Uploads under way at once, as from one browser.
const UPLOADS: usize = 6;

pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) http: reqwest::Client,
    /// From the start of the process until it said that it was ready.
    pub(crate) start: Duration,
}

impl Server {
    /// Everything in one process.
    pub(crate) async fn start(program: &Utf8Path, data_dir: &Utf8Path) -> Result<Self> {
        Self::start_with(program, data_dir, Vec::new()).await
    }

    pub(crate) async fn start_with(program: &Utf8Path, data_dir: &Utf8Path, mut settings: Environment) -> Result<Self> {
        let ports = free_ports::<5>()?;
        settings.extend(ROLES.into_iter().zip(ports).map(|(role, port)| listen(role, port)));
        Self::run(program, "up", data_dir, settings, [ports[0], ports[1]]).await
    }

    /// One role, on the stores that the settings name.
    pub(crate) async fn start_role(
        program: &Utf8Path,
        role: &str,
        data_dir: &Utf8Path,
        mut settings: Environment,
    ) -> Result<Self> {
        let [port, admin_port] = free_ports()?;
        settings.push(listen("ADMIN", admin_port));
        if role != "ingestworker" {
            settings.push(listen(&role.to_uppercase(), port));
        }
        Self::run(program, role, data_dir, settings, [port, admin_port]).await
    }

    async fn run(
        program: &Utf8Path,
        role: &str,
        data_dir: &Utf8Path,
        settings: Environment,
        [port, admin_port]: [u16; 2],
    ) -> Result<Self> {
        let log = File::create(data_dir.with_extension("log"))?;
        let started = Instant::now();
        let process = Command::new(program)
            .args([role, "--data-dir", data_dir.as_str()])
            .current_dir(data_dir.parent().context("a data folder lies in another one")?)
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let url = format!("http://127.0.0.1:{port}");
        // A server that is busy takes nothing for as long as it likes.
        let http = reqwest::Client::builder().tcp_user_timeout(None::<Duration>).build()?;
        let admin_url = format!("http://127.0.0.1:{admin_port}");
        let ready = format!("{admin_url}/readyz");
        let mut server = Self { process, url, admin_url, http, start: Duration::ZERO };
        while !server.http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = server.process.try_wait()? {
                bail!("{program} ended with {status}:\n{}", fs::read_to_string(data_dir.with_extension("log"))?);
            }
            ensure!(started.elapsed() < DEADLINE, "{program} {role} did not become ready");
            tokio::time::sleep(POLL).await;
        }
        server.start = started.elapsed();
        Ok(server)
    }

    pub(crate) async fn get_json(&self, path: &str) -> Result<Value> {
        Ok(self.http.get(format!("{}{path}", self.url)).send().await?.error_for_status()?.json().await?)
    }

    /// Uploads images, a few at once.
    pub(crate) async fn upload(&self, images: &[Bytes]) -> Result<()> {
        let images = images.iter().map(|image| (Body::from(image.clone()), image.len() as u64));
        self.upload_each(images, UPLOADS).await
    }

    /// Uploads bodies of known lengths, each made when its turn comes, so many at once.
    pub(crate) async fn upload_each(&self, images: impl Iterator<Item = (Body, u64)>, at_once: usize) -> Result<()> {
        let uploads = futures::stream::iter(images.map(|(body, size_bytes)| {
            let part = Part::stream_with_length(body, size_bytes).file_name("image.jpg");
            let form = Form::new().part("file", part);
            let request = self.http.post(format!("{}/api/v1/ingest", self.url)).multipart(form);
            async move { anyhow::Ok(request.send().await?.error_for_status()?.bytes().await?) }
        }));
        uploads.buffer_unordered(at_once).try_for_each(|_| async { Ok(()) }).await
    }

    /// Waits until so many images can be found.
    pub(crate) async fn until_indexed(&self, images: usize) -> Result<()> {
        let started = Instant::now();
        while self.get_json("/api/v1/image?limit=1").await?["total"].as_u64() < Some(images as u64) {
            ensure!(started.elapsed() < DEADLINE, "{images} images were not indexed in time");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until so many tasks have ended well and none is left.
    pub(crate) async fn until_tasks_ended(&self, tasks: usize) -> Result<()> {
        let mut progress = (Instant::now(), 0);
        loop {
            let counts = &self.get_json("/api/v1/ingest?limit=1").await?["counts"];
            let [queued, processing, indexed] =
                ["queued", "processing", "indexed"].map(|status| counts[status].as_u64().unwrap_or_default());
            if queued + processing == 0 {
                ensure!(indexed == tasks as u64, "of {tasks} tasks not all ended well: {counts}");
                return Ok(());
            }
            if indexed > progress.1 {
                progress = (Instant::now(), indexed);
            }
            ensure!(progress.0.elapsed() < DEADLINE, "nothing more is indexed: {counts}");
            tokio::time::sleep(20 * POLL).await;
        }
    }

    /// Waits until the log has a line with this text.
    pub(crate) async fn until_logged(&self, data_dir: &Utf8Path, text: &str) -> Result<()> {
        let started = Instant::now();
        while !fs::read_to_string(data_dir.with_extension("log"))?.contains(text) {
            ensure!(started.elapsed() < DEADLINE, "the log never said {text:?}");
            tokio::time::sleep(100 * POLL).await;
        }
        Ok(())
    }

    /// A figure of the process's memory in MiB: `VmRSS` now, `VmHWM` at its highest.
    pub(crate) fn memory_mib(&self, figure: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).context("no such figure")?;
        let kib: u64 = line.trim_matches(|byte: char| !byte.is_ascii_digit()).parse()?;
        Ok(kib.div_ceil(1024))
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time that the process has taken so far.
    pub(crate) fn processor_s(&self) -> Result<f64> {
        processor::seconds(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listen(role: &str, port: u16) -> (String, String) {
    (format!("IMAGESEARCH_{role}__LISTEN"), format!("127.0.0.1:{port}"))
}

pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until the last is found, so that none comes twice.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
