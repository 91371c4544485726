//! Search over HTTP in a large index: what HTTP, filters and answers cost beyond embedding the text and searching the
//! vectors (which the answer tells as `took_ms`), what a cached query costs, and what a running ingest does to both.

use std::{
    ops::Range,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use backends::{Stores, index::Point, keys, objects::PutCondition, queue::Outcome};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, Embedder, EmbedderOptions};
use futures::{StreamExt, TryStreamExt};
use shared::{
    CopyId, ImageDocument, ImageRecord, Job, JobSource, ModelFingerprint, RecordState, TaskId, TaskResult,
    config::{self, Config},
};

use crate::{
    images,
    points::Points,
    report::{self, milliseconds, quantile},
    server::Server,
};

const QUERIES: usize = 2000;
/// Points that are written at once.
const BATCH: usize = 500;
/// Files that are written at once.
const WRITES: usize = 64;
/// Words of which every query has three, so that no two are the same.
const WORDS: [&str; 16] = [
    "giraffe", "castle", "train", "red", "mountain", "dog", "flower", "bridge", "night", "boat", "snow", "tiger",
    "street", "fruit", "tower", "old",
];

pub(crate) async fn measure(program: &Utf8Path, images: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = Utf8PathBuf::try_from(folder.path().join("data"))?;
    // By a process of its own, since an index belongs to its process until that ends.
    let fill = Command::new(std::env::current_exe()?)
        .args(["--program", program.as_str(), "--fill", data_dir.as_str(), "--images", &images.to_string()])
        .status()?;
    ensure!(fill.success(), "the stores could not be filled");
    let server = Server::start(program, &data_dir).await?;
    // What a start does in the background, which is over a minute later.
    server.until_logged(&data_dir, "swept: ").await?;
    server.until_logged(&data_dir, "optimised the index").await?;

    ask(&server, QUERIES..QUERIES + 100).await?;
    let idle = ask(&server, 0..QUERIES).await?;
    let cached = ask_again(&server).await?;
    let lists = list_tasks(&server, images).await?;
    let (busy, cached_busy) = while_ingesting(&server).await?;

    let title = format!("Search over HTTP, {images} images");
    report::table(&title, &["one query at a time", "p50", "p99", "p99 beyond embedding and index", "target"]);
    let busy_ratio = busy.total_ms(0.99) / idle.total_ms(0.99);
    for (name, times, target) in [
        ("new texts", &idle, "beyond ≤ 1 ms".to_owned()),
        ("one text again and again", &cached, "p99 ≤ 3 ms".to_owned()),
        ("new texts during ingest", &busy, format!("p99 ≤ 3 × idle: {busy_ratio:.1} ×")),
        ("one text during ingest", &cached_busy, String::new()),
    ] {
        report::row(&[
            name.to_owned(),
            format!("{:.2} ms", times.total_ms(0.5)),
            format!("{:.2} ms", times.total_ms(0.99)),
            format!("{:.2} ms", quantile(&times.beyond, 0.99)),
            target,
        ]);
    }
    report::end();

    report::table(&format!("Tasks by status, {images} of them"), &["100 a page", "p50", "longest", "target"]);
    for (name, times_ms) in lists {
        report::row(&[
            name.to_owned(),
            format!("{:.2} ms", quantile(&times_ms, 0.5)),
            format!("{:.2} ms", quantile(&times_ms, 1.0)),
            "≤ 100 ms".to_owned(),
        ]);
    }
    report::end();
    Ok(())
}

/// Times in milliseconds of lists of tasks: of a status that all have, page after page from the newest on, and of one that
/// none has.
async fn list_tasks(server: &Server, images: usize) -> Result<[(&'static str, Vec<f64>); 2]> {
    let mut times = [Vec::new(), Vec::new()];
    let mut cursor = String::new();
    for _ in 0..images.min(20_000) / 100 {
        let started = Instant::now();
        let page = server.get_json(&format!("/api/v1/ingest?status=indexed&limit=100{cursor}")).await?;
        times[0].push(milliseconds(started.elapsed()));
        ensure!(page["tasks"].as_array().is_some_and(|tasks| tasks.len() == 100), "there are fewer tasks than images");
        cursor = page["next_cursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();

        let started = Instant::now();
        let page = server.get_json("/api/v1/ingest?status=failed&limit=100").await?;
        times[1].push(milliseconds(started.elapsed()));
        ensure!(page["tasks"].as_array().is_some_and(Vec::is_empty), "a task failed");
    }
    let [all, none] = times;
    Ok([("a status that all have", all), ("a status that none has", none)])
}

/// Times in milliseconds.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) total: Vec<f64>,
    /// Less what the answer says that embedding and index took.
    pub(crate) beyond: Vec<f64>,
}

impl Times {
    pub(crate) fn total_ms(&self, share: f64) -> f64 {
        quantile(&self.total, share)
    }
}

async fn ask(server: &Server, queries: Range<usize>) -> Result<Times> {
    let mut times = Times::default();
    for query in queries {
        ask_one(server, &text(query), &mut times).await?;
    }
    Ok(times)
}

/// Another text for each number below 4096.
pub(crate) fn text(number: usize) -> String {
    [number, number / 16, number / 256].map(|position| WORDS[position % WORDS.len()]).join(" ")
}

async fn ask_again(server: &Server) -> Result<Times> {
    let mut times = Times::default();
    for _ in 0..QUERIES {
        ask_one(server, "a giraffe at the zoo", &mut times).await?;
    }
    Ok(times)
}

pub(crate) async fn ask_one(server: &Server, text: &str, times: &mut Times) -> Result<()> {
    let request = server.http.get(format!("{}/api/v1/image/search", server.url)).query(&[("text", text)]);
    let started = Instant::now();
    let answer = request.send().await?.error_for_status()?.bytes().await?;
    let total_ms = milliseconds(started.elapsed());
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    times.total.push(total_ms);
    times.beyond.push(total_ms - answer["took_ms"].as_f64().context("the answer has no took_ms")?);
    Ok(())
}

/// New texts that no query had before, and one text again, while photos come in as fast as they are taken.
async fn while_ingesting(server: &Server) -> Result<(Times, Times)> {
    let photos = images::read(&images::photo_paths()?)?;
    let done = AtomicBool::new(false);
    let ingest = async {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let again: Vec<Bytes> = photos.iter().map(|photo| images::again(photo, number)).collect();
            server.upload(&again).await?;
            // A short queue is enough to keep the worker busy.
            while server.get_json("/api/v1/ingest?limit=1").await?["counts"]["queued"].as_u64() > Some(64) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        anyhow::Ok(())
    };
    let search = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let times = async { Ok((ask(server, QUERIES + 100..2 * QUERIES).await?, ask_again(server).await?)) }.await;
        done.store(true, Ordering::Relaxed);
        times
    };
    let ((), times) = tokio::try_join!(ingest, search)?;
    Ok(times)
}

/// Fills the stores of a data folder as an ingest of so many images leaves them, with vectors scattered around those of
/// the photos, and bytes that only have the right length.
pub(crate) async fn fill(data_dir: &Utf8Path, images: usize) -> Result<()> {
    let variables = [("IMAGESEARCH_DATA_DIR".into(), data_dir.to_string().into())];
    let config: Config = config::load(&config::Source::Role("none"), variables)?;
    let embedder = Embedder::load(Bundle::open(&images::model())?, EmbedderOptions::default()).await?;
    let mut made = Points::around_photos(&embedder).await?;
    let stores = backends::open(&config).await?;
    let collection = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await?.collection;
    for first in (0..images).step_by(BATCH) {
        let points = made.make(first..images.min(first + BATCH));
        collection.upsert(&points).await?;
        end_tasks(&stores, embedder.fingerprint(), &points).await?;
        let writes = points.into_iter().map(|point| store(&stores, point.document)).collect::<Vec<_>>();
        futures::stream::iter(writes).buffer_unordered(WRITES).try_collect::<Vec<()>>().await?;
        eprint!("\r{} of {images} images", first + BATCH);
    }
    eprintln!();
    Ok(())
}

/// Leaves the tasks that images were indexed by.
async fn end_tasks(stores: &Stores, model: &ModelFingerprint, points: &[Point]) -> Result<()> {
    let job = |Point { document, .. }: &Point| Job {
        task_id: TaskId::new(),
        model: model.clone(),
        source: JobSource::Stored { image_id: document.image_id, version: document.version },
        name: document.name.clone(),
        created: document.created,
        traceparent: None,
    };
    let queue = &stores.queue;
    queue.enqueue(&points.iter().map(job).collect::<Vec<_>>()).await?;
    let leases = queue.lease(model, points.len(), Duration::from_mins(1), Duration::ZERO).await?;
    ensure!(leases.len() == points.len(), "the queue gave {} of {} jobs", leases.len(), points.len());
    let ends = leases.iter().map(|lease| async move {
        let image_id = lease.job.source.image_id().context("a job without an image")?;
        let result = TaskResult { image_id, url: format!("/images/{image_id}") };
        anyhow::Ok(queue.finish(lease, Outcome::Indexed(result)).await?)
    });
    futures::stream::iter(ends.collect::<Vec<_>>()).buffer_unordered(WRITES).try_collect::<Vec<()>>().await?;
    Ok(())
}

async fn store(stores: &Stores, document: ImageDocument) -> Result<()> {
    let (image_id, version, copy) = (document.image_id, document.version, CopyId::new());
    let bytes = Bytes::from(document.name.clone().unwrap_or_default());
    let state = RecordState::Present(Box::new(document));
    let record = ImageRecord { image_id, version, original: Some(copy), failure: None, state };
    stores.objects.put(&keys::original(image_id, copy), bytes, PutCondition::Absent).await?;
    stores.objects.put(&keys::record(image_id), serde_json::to_vec(&record)?.into(), PutCondition::Absent).await?;
    Ok(())
}
