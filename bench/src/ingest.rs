//! Upload to index, end to end, against a plain Python worker with the same model on the same cores (`python_worker.py`).
//! The worker reads files and keeps vectors in memory; the server takes HTTP, syncs to disk and indexes.

use std::{process::Command, time::Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::{
    images,
    report::{self, median, quantile},
    server::Server,
};

const CAMERA_PHOTOS: usize = 48;

struct Run {
    images_per_second: f64,
    peak_mib: f64,
}

pub(crate) async fn measure(program: &Utf8Path, python: &Utf8Path, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let camera = images::camera_photos(Utf8Path::new(folder.path().to_str().unwrap_or_default()), CAMERA_PHOTOS)?;
    let columns = ["images", "imagesearch", "Python worker", "ratio", "target", "peak memory", "of the worker"];
    report::table("Ingest, end to end", &columns);
    for (name, paths, target) in
        [("67 photos of 384 px", images::photo_paths()?, "≥ 1.3"), ("48 JPEGs of 12 megapixels", camera, "≥ 3")]
    {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(python_worker(python, &paths)?);
            ours.push(server(program, &images::read(&paths)?).await?);
        }
        let rate = |runs: &[Run]| median(&runs.iter().map(|run| run.images_per_second).collect::<Vec<_>>());
        let peak = |runs: &[Run]| quantile(&runs.iter().map(|run| run.peak_mib).collect::<Vec<_>>(), 1.0);
        report::row(&[
            name.to_owned(),
            format!("{:.1}/s", rate(&ours)),
            format!("{:.1}/s", rate(&theirs)),
            format!("{:.2}", rate(&ours) / rate(&theirs)),
            target.to_owned(),
            format!("{:.0} MiB", peak(&ours)),
            format!("{:.0} MiB", peak(&theirs)),
        ]);
    }
    report::end();
    Ok(())
}

async fn server(program: &Utf8Path, images: &[Bytes]) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(program, &Utf8PathBuf::try_from(folder.path().join("data"))?).await?;
    let started = Instant::now();
    server.upload(images).await?;
    server.until_indexed(images.len()).await?;
    let images_per_second = images.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Run { images_per_second, peak_mib: server.memory_mib("VmHWM:")? as f64 })
}

fn python_worker(python: &Utf8Path, paths: &[Utf8PathBuf]) -> Result<Run> {
    let script = images::root().join("bench/python_worker.py");
    let output = Command::new(python).arg(script).arg(images::model()).args(paths).output()?;
    ensure!(output.status.success(), "the Python worker failed: {}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout)?;
    let figure = |name: &str| figures[name].as_f64().unwrap_or_default();
    Ok(Run { images_per_second: figure("images_per_second"), peak_mib: figure("peak_mib") })
}
