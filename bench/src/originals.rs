//! Requests a second for one original of 100 kB, against nginx serving the same file, both asked by `wrk`. Both write a
//! line for each request into a file, as they do by default.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    images,
    report::{self, median},
    server::{Server, free_ports},
};

const ORIGINAL_BYTES: usize = 100_000;
pub(crate) const CONNECTIONS: &str = "-c32";
pub(crate) const SECONDS: &str = "-d5s";

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let original = original()?;
    fs::write(root.join("original.jpg"), &original)?;
    let nginx = Nginx::start(&root).await?;
    let server = Server::start(program, &root.join("data")).await?;
    server.upload(std::slice::from_ref(&original)).await?;
    server.until_indexed(1).await?;
    let ours_url = format!("{}/images/{}", server.url, shared::ImageId::of(&original));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(requests_per_second(&nginx.url, &[])?);
        ours.push(requests_per_second(&ours_url, &[])?);
    }
    report::table("Originals of 100 kB", &["imagesearch", "nginx", "ratio", "target"]);
    let (ours, theirs) = (median(&ours), median(&theirs));
    report::row(&[
        format!("{ours:.0}/s"),
        format!("{theirs:.0}/s"),
        format!("{:.2}", ours / theirs),
        "≥ 0.7".to_owned(),
    ]);
    println!("\n{}, {CONNECTIONS} {SECONDS}\n", report::version_of("nginx", "-v")?);
    Ok(())
}

/// A photo, brought to its size by what follows its end.
fn original() -> Result<Bytes> {
    let photos = images::read(&images::photo_paths()?)?;
    let photo = photos.into_iter().find(|photo| photo.len() <= ORIGINAL_BYTES).context("no photo is small enough")?;
    let mut bytes = photo.to_vec();
    bytes.resize(ORIGINAL_BYTES, 0);
    Ok(bytes.into())
}

/// With further arguments of `wrk`.
pub(crate) fn requests_per_second(url: &str, more: &[&str]) -> Result<f64> {
    let fixed = ["-t1", CONNECTIONS, SECONDS, url];
    let output = Command::new("wrk").args(fixed).args(more).output().context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !text.contains("Non-2xx"), "wrk on {url}: {text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).context("wrk told no rate")?;
    Ok(rate.trim().parse()?)
}

struct Nginx {
    process: Child,
    url: String,
}

impl Nginx {
    async fn start(root: &Utf8Path) -> Result<Self> {
        let [port] = free_ports()?;
        let cores = std::thread::available_parallelism()?;
        let settings = format!(
            "daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; worker_processes {cores};
             events {{ worker_connections 1024; }}
             http {{
                 access_log {root}/access.log; sendfile on; tcp_nopush on; open_file_cache max=100;
                 types {{ image/jpeg jpg; }}
                 server {{ listen 127.0.0.1:{port}; root {root}; }}
             }}"
        );
        let settings_path = root.join("nginx.conf");
        fs::write(&settings_path, settings)?;
        let process = Command::new("nginx").args(["-c", settings_path.as_str()]).stderr(Stdio::null()).spawn();
        let process = process.context("cannot run nginx; install it with: apt-get install nginx-light wrk")?;
        let nginx = Self { process, url: format!("http://127.0.0.1:{port}/original.jpg") };
        for _ in 0..100 {
            if reqwest::get(&nginx.url).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(nginx);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("nginx does not serve {}", nginx.url)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that its workers end with it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
