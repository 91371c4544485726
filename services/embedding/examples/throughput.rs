//! Images per second of the embedding pipeline against bare ONNX Runtime on the same threads, and the memory it takes.
//!
//! `cargo run --release -p embedding --example throughput [MODEL] [PHOTOS]`

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, Embedder, EmbedderOptions, Prepared};
use futures::{StreamExt, TryStreamExt};
use ort::{session::Session, value::TensorRef};

/// Each way runs this long in every round; rounds take turns, so that a busy machine is busy for all.
const SLICE: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
const SIDE: usize = 224;

#[tokio::main]
async fn main() -> Result<()> {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut arguments = std::env::args().skip(1).map(Utf8PathBuf::from);
    let model = arguments.next().unwrap_or_else(|| root.join("models/bundled"));
    let photos = read_photos(&arguments.next().unwrap_or_else(|| root.join("tests/fixtures/photos")))?;
    let options = EmbedderOptions::default();
    let (threads, batch_size) = (options.threads, options.batch_size);
    println!("{threads} threads, batches of {batch_size}, {} photos", photos.len());
    println!("resident before: {} MiB", resident_mib()?);
    let started = Instant::now();
    let embedder = Embedder::load(Bundle::open(&model)?, options).await?;
    println!("loaded in {} ms, resident: {} MiB", started.elapsed().as_millis(), resident_mib()?);

    let prepared: Vec<Prepared> =
        futures::stream::iter(&photos).then(|photo| embedder.prepare(photo.clone())).try_collect().await?;
    let idle = resident_mib()?;
    from_bytes(&embedder, &photos, batch_size).await?;
    println!("resident: {idle} MiB idle, {} MiB after ingest", resident_mib()?);
    let mut bare: Vec<(String, Bare)> = [(1, threads), (threads, 1)]
        .into_iter()
        .flat_map(|plan| [1, batch_size].map(|batch| (plan, batch)))
        .map(|((sessions, threads), batch)| {
            let name = format!("bare, {sessions} sessions of {threads} threads, batch {batch}");
            Ok((name, Bare::open(&model.join("image.onnx"), sessions, threads, batch)?))
        })
        .collect::<Result<_>>()?;
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..ROUNDS {
        for (name, bare) in &mut bare {
            note(&mut found, name, bare.images_per_second()?);
        }
        note(&mut found, "pipeline, decoded pixels", from_pixels(&embedder, &prepared, batch_size).await?);
        note(&mut found, "pipeline, JPEG bytes", from_bytes(&embedder, &photos, batch_size).await?);
    }
    for (name, mut rates) in found {
        rates.sort_by(f64::total_cmp);
        println!("{name}: {:.1} images/s (best {:.1})", rates[ROUNDS / 2], rates[ROUNDS - 1]);
    }
    Ok(())
}

fn note(found: &mut Vec<(String, Vec<f64>)>, name: &str, rate: f64) {
    match found.iter_mut().find(|(known, _)| known == name) {
        Some((_, rates)) => rates.push(rate),
        None => found.push((name.to_owned(), vec![rate])),
    }
}

fn read_photos(folder: &Utf8Path) -> Result<Vec<Bytes>> {
    let mut photos = Vec::new();
    for entry in folder.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("jpg") {
            photos.push(fs::read(path)?.into());
        }
    }
    Ok(photos)
}

/// Sessions with nothing around them, each driven by a thread of its own.
struct Bare {
    sessions: Vec<Session>,
    batch: usize,
}

impl Bare {
    fn open(graph: &Utf8Path, sessions: usize, threads: usize, batch: usize) -> Result<Self> {
        let environment = embedding::onnx_environment(None)?;
        let open = || -> ort::Result<Session> {
            Session::builder(&environment)?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?
                .commit_from_file(graph)
        };
        Ok(Self { sessions: (0..sessions).map(|_| open()).collect::<ort::Result<_>>()?, batch })
    }

    fn images_per_second(&mut self) -> Result<f64> {
        let batch = self.batch;
        let started = Instant::now();
        let counts: Vec<Result<usize>> = std::thread::scope(|scope| {
            let drive = |session: &mut Session| -> Result<usize> {
                let pixels = vec![0.25_f32; batch * 3 * SIDE * SIDE];
                let mut count = 0;
                while started.elapsed() < SLICE {
                    session.run(ort::inputs![TensorRef::from_array_view(([batch, 3, SIDE, SIDE], &*pixels))?])?;
                    count += batch;
                }
                Ok(count)
            };
            let running: Vec<_> = self.sessions.iter_mut().map(|session| scope.spawn(move || drive(session))).collect();
            running.into_iter().map(|thread| thread.join().expect("no panics")).collect()
        });
        let count: usize = counts.into_iter().sum::<Result<usize>>()?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}

/// Two batches under way, as a worker keeps them.
async fn from_pixels(embedder: &Embedder, prepared: &[Prepared], batch_size: usize) -> Result<f64> {
    let started = Instant::now();
    let batches = futures::stream::iter(prepared.iter().cycle().cloned()).chunks(batch_size);
    let batches = batches.take_while(|_| async { started.elapsed() < SLICE });
    let mut batches = std::pin::pin!(batches.map(|batch| embedder.embed_batch(batch)).buffered(2));
    let mut count = 0;
    while let Some(vectors) = batches.next().await {
        count += vectors.into_iter().collect::<Result<Vec<_>, _>>()?.len();
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

async fn from_bytes(embedder: &Embedder, photos: &[Bytes], batch_size: usize) -> Result<f64> {
    let started = Instant::now();
    let photos =
        futures::stream::iter(photos.iter().cycle().cloned()).take_while(|_| async { started.elapsed() < SLICE });
    let prepared = photos.map(|photo| embedder.prepare(photo)).buffered(2 * batch_size);
    let mut batches = std::pin::pin!(
        prepared
            .try_chunks(batch_size)
            .map(|batch| async {
                let batch = batch.context("a photo could not be decoded")?;
                Ok::<_, anyhow::Error>(
                    embedder.embed_batch(batch).await.into_iter().collect::<Result<Vec<_>, _>>()?.len(),
                )
            })
            .buffered(2)
    );
    let mut count = 0;
    while let Some(embedded) = batches.next().await {
        count += embedded?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

fn resident_mib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
