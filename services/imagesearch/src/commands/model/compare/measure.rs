//! One model, measured in a process of its own, so that its memory and its speed are nobody else's.

use std::{
    io::{Seek as _, Write as _},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use backends::{
    records::{RecordError, Records},
    stores,
};
use bytes::Bytes;
use embedding::{Embedder, cosine};
use futures::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use shared::{ModelFingerprint, config::Config};
use tokio::process::Command;

use super::{
    queries::{Picture, Plan, Query},
    statistics::{self, Rank},
};
use crate::{
    cli::ConfigArgs,
    commands::{
        config,
        model::{show, told},
    },
    exit::{CommandError, Failure},
    output,
    roles::model::{Library, limits},
};

/// Batches under way at once: some are read and decoded while others are computed.
const BATCHES_AT_ONCE: usize = 4;

/// What was measured of one model.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) fingerprint: ModelFingerprint,
    pub(super) dimension: usize,
    /// Of its files.
    pub(super) size_bytes: u64,
    /// Of the process that held the model and did all this.
    pub(super) peak_memory_bytes: u64,
    /// Read, decoded and embedded, as for ingest.
    pub(super) images_per_s: f64,
    /// Median time of embedding a text; searching the index is not in it.
    pub(super) query_ms: f64,
    /// Pictures that it gave no vector: nothing finds them.
    pub(super) images_without_vector: usize,
    /// Of each query of the plan.
    pub(super) ranks: Vec<Rank>,
}

/// Why nothing was measured, told by the process that tried.
#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    failure: Failure,
    message: String,
}

/// Starts the process and waits for what it measures.
pub(super) async fn apart(args: &ConfigArgs, source: &str, plan: &Plan, json: bool) -> anyhow::Result<Measured> {
    let mut told = tempfile::tempfile().context("cannot write down the plan")?;
    told.write_all(&serde_json::to_vec(plan)?).and_then(|()| told.rewind()).context("cannot write down the plan")?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["model", "measure"]).args(json.then_some("--json"));
    for (option, value) in [("--config", &args.config), ("--data-dir", &args.data_dir)] {
        command.args(value.iter().flat_map(|value| [option, value.as_str()]));
    }
    // Its bars are on the same terminal, and nothing of it outlives this command.
    command.args(["--", source]).stdin(told).stdout(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().context("cannot start a process for the model")?;
    let output = child.wait_with_output().await.context("cannot hear the process of the model")?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Ok(measured)) => Ok(measured),
        Ok(Err(Refused { failure, message })) => Err(CommandError::new(failure, message).into()),
        Err(_) => anyhow::bail!(
            "the process that measured {source} died ({}); perhaps this machine has too little memory for the model",
            output.status
        ),
    }
}

/// That process.
pub(crate) async fn run(args: &ConfigArgs, source: String, json: bool) -> anyhow::Result<ExitCode> {
    let plan: Plan = serde_json::from_reader(std::io::stdin().lock()).context("there is no plan on standard input")?;
    let mut config = config::load(args)?;
    config.model.source = source;
    config.model.sha256 = None;
    // Each text is computed, also one that has the tokens of another.
    config.searchapi.text_cache_entries = 0;
    let measured = measure(&config, &plan, json)
        .await
        .map_err(|error| Refused { failure: Failure::of(&error), message: format!("{error:#}") });
    output::print_json(&measured)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(config: &Config, plan: &Plan, json: bool) -> anyhow::Result<Measured> {
    let bar = output::progress_bar(0, "bytes", json);
    bar.set_message("fetching");
    let library = Library::without_store(config, show(&bar)).await.map_err(told)?;
    let bundle = library.fetch().await.map_err(told)?;
    bar.finish_and_clear();
    let size_bytes = bundle.size_bytes()?;
    let model = library.load(bundle).await.map_err(told)?;
    let pictures = Pictures::open(config, plan).await?;

    let bar = output::progress_bar(plan.pictures.len() as u64, "images", json);
    bar.set_message(model.name().to_owned());
    let started = Instant::now();
    let images = pictures.embed(&model, &plan.pictures, &bar).await?;
    let images_per_s = plan.pictures.len() as f64 / started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let bar = output::progress_bar(plan.queries.len() as u64, "queries", json);
    bar.set_message(model.name().to_owned());
    let (ranks, times) = ask(&model, &plan.queries, &images, &bar).await;
    bar.finish_and_clear();
    Ok(Measured {
        name: model.name().to_owned(),
        fingerprint: model.fingerprint().clone(),
        dimension: model.dimension(),
        size_bytes,
        peak_memory_bytes: peak_memory_bytes().context("cannot read /proc/self/status")?,
        images_per_s,
        query_ms: statistics::median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect()),
        images_without_vector: images.iter().filter(|vector| vector.is_none()).count(),
        ranks,
    })
}

/// Where pictures are read.
struct Pictures {
    records: Option<Records>,
    max_bytes: u64,
}

impl Pictures {
    async fn open(config: &Config, plan: &Plan) -> anyhow::Result<Self> {
        let objects = if plan.needs_store() { stores::open_objects_for_reading(config).await? } else { None };
        Ok(Self { records: objects.map(Records::new), max_bytes: limits(config).max_bytes })
    }

    /// A vector, or none where a picture has no usable one, in the order of `pictures`.
    async fn embed(
        &self,
        model: &Embedder,
        pictures: &[Picture],
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let batches = stream::iter(pictures.chunks(model.batch_size())).map(|batch| async move {
            let vectors = self.embed_batch(model, batch).await;
            bar.inc(batch.len() as u64);
            vectors
        });
        batches.buffered(BATCHES_AT_ONCE).try_concat().await
    }

    async fn embed_batch(&self, model: &Embedder, batch: &[Picture]) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let prepared = join_all(batch.iter().map(async |picture| match self.read(picture).await? {
            Some(bytes) => Ok::<_, anyhow::Error>(model.prepare(bytes).await.ok()),
            None => Ok(None),
        }));
        let prepared = prepared.await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let mut places = Vec::new();
        let mut images = Vec::new();
        for (place, prepared) in prepared.into_iter().enumerate() {
            if let Some(prepared) = prepared {
                places.push(place);
                images.push(prepared);
            }
        }
        let mut vectors = vec![None; batch.len()];
        for (place, vector) in places.into_iter().zip(model.embed_batch(images).await) {
            vectors[place] = vector.ok().map(|(vector, _)| vector);
        }
        Ok(vectors)
    }

    /// None when it was deleted since the plan was made, or its bytes are lost.
    async fn read(&self, picture: &Picture) -> anyhow::Result<Option<Bytes>> {
        match (picture, &self.records) {
            (Picture::File(path), _) => {
                let bytes = tokio::fs::read(path).await.with_context(|| format!("cannot read the image {path}"))?;
                Ok(Some(bytes.into()))
            }
            (Picture::Stored(image_id), Some(records)) => {
                match records.read_original(*image_id, self.max_bytes).await {
                    Err(RecordError::OriginalMissing(_)) => Ok(None),
                    original => Ok(original?.map(|(_, bytes)| bytes)),
                }
            }
            (Picture::Stored(_), None) => Ok(None),
        }
    }
}

/// Where each query finds what it should, and how long embedding it took. One after the other, as somebody who types.
async fn ask(
    model: &Embedder,
    queries: &[Query],
    images: &[Option<Vec<f32>>],
    bar: &ProgressBar,
) -> (Vec<Rank>, Vec<Duration>) {
    let mut answers = Vec::with_capacity(queries.len());
    for query in queries {
        let started = Instant::now();
        let vector = model.embed_text(&query.text).await;
        let took = started.elapsed();
        answers.push((vector.ok().and_then(|vector| rank(&vector, images, &query.targets)), took));
        bar.inc(1);
    }
    answers.into_iter().unzip()
}

/// The place of the best target, behind all others that are as near: a model that can't tell them apart gets no credit.
fn rank(query: &[f32], images: &[Option<Vec<f32>>], targets: &[usize]) -> Rank {
    let score = |image: usize| images[image].as_ref().map(|vector| cosine(query, vector));
    let best = targets.iter().filter_map(|&target| score(target)).max_by(f32::total_cmp)?;
    let others = (0..images.len()).filter(|image| !targets.contains(image));
    Some(1 + others.filter_map(score).filter(|score| *score >= best).count())
}

fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_target_counts_and_ties_count_against_it() {
        let images = [Some(vec![1.0, 0.0]), Some(vec![0.8, 0.6]), None, Some(vec![0.6, 0.8]), Some(vec![0.6, 0.8])];
        let query = [1.0, 0.0];
        assert_eq!(rank(&query, &images, &[0]), Some(1));
        assert_eq!(rank(&query, &images, &[3, 1]), Some(2));
        assert_eq!(rank(&query, &images, &[3]), Some(4), "one as near is before it");
        assert_eq!(rank(&query, &images, &[3, 4]), Some(3), "the other target isn't");
        assert_eq!(rank(&query, &images, &[2]), None, "it has no vector");
    }
}
