//! What it costs to export every trace and log record, and to be scraped while busy. The collector is a server in this
//! process that reads what it is sent and throws it away: a real one has processors of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use axum::{Router, body::Bytes, extract::State};
use camino::{Utf8Path, Utf8PathBuf};
use reqwest::header::ACCEPT;

use crate::{
    images,
    report::{self, median, milliseconds, quantile},
    search::{Times, ask_one, text},
    server::{Environment, Server},
};

/// Times that the photos are uploaded, as different images.
const COPIES: u64 = 10;
const QUERIES: usize = 2000;
/// As many queries to one side before the other's turn, so that both see the same noise.
const TURN: usize = 50;
/// Fifteen times as often as is usual.
const SCRAPES_EVERY: Duration = Duration::from_secs(1);
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let collector = Collector::start().await?;
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        off.push(Ingested::run(program, Vec::new()).await?);
        on.push(Ingested::run(program, collector.settings()).await?);
    }
    ensure!(collector.received_bytes.load(Ordering::Relaxed) > 0, "nothing was exported");
    let rate = |runs: &[Ingested]| median(&runs.iter().map(|run| run.images_per_second).collect::<Vec<_>>());
    let (searched_off, searched_on) = search(&off[rounds - 1].server, &on[rounds - 1].server).await?;

    report::table("Telemetry", &["", "off", "on", "", "target"]);
    report::row(&[
        format!("{} photos, ingest", COPIES as usize * images::photo_paths()?.len()),
        format!("{:.1}/s", rate(&off)),
        format!("{:.1}/s", rate(&on)),
        format!("{:.3} ×", rate(&on) / rate(&off)),
        "≥ 0.97 ×".to_owned(),
    ]);
    for (name, share, target) in [("new texts, p50", 0.5, ""), ("new texts, p99", 0.99, "≤ +0.3 ms")] {
        let [off_ms, on_ms] = [&searched_off, &searched_on].map(|times| times.total_ms(share));
        report::row(&[
            name.to_owned(),
            format!("{off_ms:.2} ms"),
            format!("{on_ms:.2} ms"),
            format!("{:+.2} ms", on_ms - off_ms),
            target.to_owned(),
        ]);
    }
    report::end();

    let scrapes: Vec<_> = on.iter().flat_map(|run| &run.scrapes).collect();
    let times_ms: Vec<_> = scrapes.iter().map(|scrape| scrape.time_ms).collect();
    report::table("A scrape during ingest", &["", "p50", "longest", "target"]);
    report::row(&[
        "time".to_owned(),
        format!("{:.1} ms", quantile(&times_ms, 0.5)),
        format!("{:.1} ms", quantile(&times_ms, 1.0)),
        "≤ 10 ms".to_owned(),
    ]);
    let kilobytes: Vec<_> = scrapes.iter().map(|scrape| scrape.bytes as f64 / 1e3).collect();
    report::row(&[
        "size".to_owned(),
        format!("{:.0} kB", quantile(&kilobytes, 0.5)),
        format!("{:.0} kB", quantile(&kilobytes, 1.0)),
        "≤ 200 kB".to_owned(),
    ]);
    report::end();
    Ok(())
}

/// A server that has just ingested, and what that took.
struct Ingested {
    server: Server,
    images_per_second: f64,
    scrapes: Vec<Scrape>,
    _folder: tempfile::TempDir,
}

struct Scrape {
    time_ms: f64,
    bytes: usize,
}

impl Ingested {
    async fn run(program: &Utf8Path, settings: Environment) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::start_with(program, &Utf8PathBuf::try_from(folder.path().join("data"))?, settings).await?;
        let photos = images::read(&images::photo_paths()?)?;
        let all: Vec<_> =
            (0..COPIES).flat_map(|copy| photos.iter().map(move |photo| images::again(photo, copy))).collect();
        let done = AtomicBool::new(false);
        let ingest = async {
            let started = Instant::now();
            server.upload(&all).await?;
            server.until_indexed(all.len()).await?;
            done.store(true, Ordering::Relaxed);
            anyhow::Ok(all.len() as f64 / started.elapsed().as_secs_f64())
        };
        let scrape = async {
            let mut scrapes = Vec::new();
            while !done.load(Ordering::Relaxed) {
                scrapes.push(scrape(&server).await?);
                tokio::time::sleep(SCRAPES_EVERY).await;
            }
            anyhow::Ok(scrapes)
        };
        let (images_per_second, scrapes) = tokio::try_join!(ingest, scrape)?;
        Ok(Self { server, images_per_second, scrapes, _folder: folder })
    }
}

async fn scrape(server: &Server) -> Result<Scrape> {
    let started = Instant::now();
    // As Prometheus asks: with exemplars.
    let request = server.http.get(format!("{}/metrics", server.admin_url)).header(ACCEPT, OPENMETRICS);
    let bytes = request.send().await?.error_for_status()?.bytes().await?.len();
    Ok(Scrape { time_ms: milliseconds(started.elapsed()), bytes })
}

/// The same texts, new to both, by turns.
async fn search(off: &Server, on: &Server) -> Result<(Times, Times)> {
    let (mut off_times, mut on_times) = (Times::default(), Times::default());
    for first in (0..QUERIES).step_by(TURN) {
        for (server, times) in [(off, &mut off_times), (on, &mut on_times)] {
            for query in first..first + TURN {
                ask_one(server, &text(query), times).await?;
            }
        }
    }
    Ok((off_times, on_times))
}

/// Takes all that is sent to it by OTLP over HTTP.
struct Collector {
    url: String,
    received_bytes: Arc<AtomicUsize>,
}

impl Collector {
    async fn start() -> Result<Self> {
        let received_bytes = Arc::new(AtomicUsize::new(0));
        let take = async |State(received_bytes): State<Arc<AtomicUsize>>, body: Bytes| {
            received_bytes.fetch_add(body.len(), Ordering::Relaxed);
        };
        let router = Router::new().fallback(take).with_state(received_bytes.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, received_bytes })
    }

    fn settings(&self) -> Environment {
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), self.url.clone())]
    }
}
