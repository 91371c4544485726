//! Images a second of the embedding pipeline against bare ONNX Runtime on the same cores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use camino::Utf8Path;
use embedding::{Bundle, Embedder, EmbedderOptions, Prepared};
use futures::{StreamExt, TryStreamExt};
use ort::{session::Session, value::TensorRef};

use crate::{
    images,
    report::{self, median},
};

/// Each way runs this long in every round; rounds take turns, so that a busy machine is busy for all.
const SLICE: Duration = Duration::from_secs(2);
const SIDE: usize = 224;

pub(crate) async fn measure(rounds: usize) -> Result<()> {
    let model = images::model();
    let photos = images::read(&images::photo_paths()?)?;
    let options = EmbedderOptions::default();
    let (threads, batch_size) = (options.threads, options.batch_size);
    let embedder = Embedder::load(Bundle::open(&model)?, options).await?;
    let prepared: Vec<Prepared> =
        futures::stream::iter(&photos).then(|photo| embedder.prepare(photo.clone())).try_collect().await?;
    let plans = [(1, threads), (threads, 1)].into_iter().flat_map(|plan| [1, batch_size].map(|batch| (plan, batch)));
    let mut bare: Vec<(Bare, Vec<f64>)> = plans
        .map(|((sessions, threads), batch)| {
            Ok((Bare::open(&model.join("image.onnx"), sessions, threads, batch)?, Vec::new()))
        })
        .collect::<Result<_>>()?;
    let (mut pixels, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (bare, rates) in &mut bare {
            rates.push(bare.images_per_second()?);
        }
        pixels.push(from_pixels(&embedder, &prepared, batch_size).await?);
        bytes.push(from_bytes(&embedder, &photos, batch_size).await?);
    }

    let best = bare.iter().map(|(_, rates)| median(rates)).fold(0.0, f64::max);
    report::table("Embedding", &["", "images/s", "of the best bare", "target"]);
    let row = |name: String, rates: &[f64], target: &str| {
        let share = format!("{:.0} %", median(rates) / best * 100.0);
        report::row(&[name, format!("{:.1}", median(rates)), share, target.to_owned()]);
    };
    for (bare, rates) in &bare {
        let Bare { sessions, threads, batch } = bare;
        row(format!("bare, {} × {threads} threads, batches of {batch}", sessions.len()), rates, "");
    }
    row("pipeline, decoded pixels".to_owned(), &pixels, "≥ 95 %");
    row("pipeline, JPEGs of 384 px".to_owned(), &bytes, "≥ 85 %");
    report::end();
    Ok(())
}

/// Sessions with nothing around them, each driven by a thread of its own.
struct Bare {
    sessions: Vec<Session>,
    threads: usize,
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
        Ok(Self { sessions: (0..sessions).map(|_| open()).collect::<ort::Result<_>>()?, threads, batch })
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
