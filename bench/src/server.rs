//! A running `imagesearch up` in a folder of its own.

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
use reqwest::multipart::{Form, Part};
use serde_json::Value;

const ROLES: [&str; 5] = ["FRONTEND", "ADMIN", "INGESTAPI", "SEARCHAPI", "CDNAPI"];
const DEADLINE: Duration = Duration::from_mins(10);
/// Rare enough that asking takes no CPU worth counting from what is measured.
const POLL: Duration = Duration::from_millis(10);
/// Uploads under way at once, as from one browser.
const UPLOADS: usize = 6;

pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    /// From the start of the process until it said that it was ready.
    pub(crate) start: Duration,
}

impl Server {
    pub(crate) async fn start(program: &Utf8Path, data_dir: &Utf8Path) -> Result<Self> {
        let ports = free_ports::<5>()?;
        let listen = |(role, port): (&str, u16)| (format!("IMAGESEARCH_{role}__LISTEN"), format!("127.0.0.1:{port}"));
        let log = File::create(data_dir.with_extension("log"))?;
        let started = Instant::now();
        let process = Command::new(program)
            .args(["up", "--data-dir", data_dir.as_str()])
            .envs(ROLES.into_iter().zip(ports).map(listen))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let mut server = Self { process, url, http: reqwest::Client::new(), start: Duration::ZERO };
        let ready = format!("http://127.0.0.1:{}/readyz", ports[1]);
        while !server.http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = server.process.try_wait()? {
                bail!("{program} ended with {status}:\n{}", fs::read_to_string(data_dir.with_extension("log"))?);
            }
            ensure!(started.elapsed() < DEADLINE, "{program} did not become ready");
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
        let requests = images.iter().map(|image| {
            let part = Part::stream_with_length(image.clone(), image.len() as u64).file_name("image.jpg");
            let request =
                self.http.post(format!("{}/api/v1/ingest", self.url)).multipart(Form::new().part("file", part));
            async move { request.send().await?.error_for_status() }
        });
        let uploads = futures::stream::iter(requests.collect::<Vec<_>>());
        uploads.buffer_unordered(UPLOADS).try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
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
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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
