//! How fast a change of the model indexes the stored images anew, against `imagesearch reindex` of the same images with the same
//! model: that is an ingest without the uploads, and has the machine for itself.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::{
    images,
    report::{self, median},
    server::Server,
};

/// Times that the photos are stored, as different images.
const COPIES: u64 = 20;
const PATH: &str = "/api/v1/ingest/model";
const POLL: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_mins(10);

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let second = servers::second_model();
    let photos = images::read(&images::photo_paths()?)?;
    let all: Vec<_> = (0..COPIES).flat_map(|copy| photos.iter().map(move |photo| images::again(photo, copy))).collect();
    let (mut changes, mut reindexes) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let data_dir = Utf8PathBuf::try_from(folder.path().join("data"))?;
        let server = Server::start(program, &data_dir).await?;
        server.upload(&all).await?;
        server.until_tasks_ended(all.len()).await?;
        let rate = |started: Instant| all.len() as f64 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        change(&server, &second).await?;
        changes.push(rate(started));
        drop(server);
        let started = Instant::now();
        reindex(program, &data_dir, &second)?;
        reindexes.push(rate(started));
    }
    report::table("Change of the model", &["images", "change", "reindex", "ratio", "target"]);
    let (change, reindex) = (median(&changes), median(&reindexes));
    report::row(&[
        format!("{} photos of 384 px", all.len()),
        format!("{change:.1}/s"),
        format!("{reindex:.1}/s"),
        format!("{:.2}", change / reindex),
        "≥ 0.9".to_owned(),
    ]);
    report::end();
    Ok(())
}

/// Asks for another model, and waits until searches use it.
async fn change(server: &Server, source: &str) -> Result<()> {
    let started = Instant::now();
    let asked = server.http.put(format!("{}{PATH}", server.url)).json(&json!({ "source": source }));
    asked.send().await?.error_for_status()?;
    loop {
        let status = server.get_json(PATH).await?;
        if status["current"]["source"] == source {
            return Ok(());
        }
        ensure!(status["change"]["phase"] != "failed" && started.elapsed() < DEADLINE, "not changed: {status}");
        tokio::time::sleep(POLL).await;
    }
}

fn reindex(program: &Utf8Path, data_dir: &Utf8Path, source: &str) -> Result<()> {
    let status = Command::new(program)
        .args(["reindex", "--data-dir", data_dir.as_str()])
        .current_dir(data_dir.parent().context("a data folder lies in another one")?)
        .env("IMAGESEARCH_MODEL__SOURCE", source)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "reindex ended with {status}");
    Ok(())
}
