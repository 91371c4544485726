//! Another model for roles on their own, step by step as docs/models.md tells, while clients go on.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    cluster::{Cluster, DEADLINE, DEPLOYMENT, POLL, Process, again, photos},
    load::{Load, Promises},
};

/// Uploads before the change, and while it is under way.
const UPLOADS: usize = 60;

const SOURCE: &str = "IMAGESEARCH_MODEL__SOURCE";
const BESIDE: &str = "IMAGESEARCH_MODEL__BESIDE__SOURCE";
const FILLS: &str = "IMAGESEARCH_MODEL__BESIDE__FILLS";

/// What a `searchapi` finds, which must be what was promised.
async fn assert_finds(searchapi: &Process, ids: &[String]) {
    let found = searchapi.search("a castle", 1000).await;
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "an image is found twice");
    assert_eq!(distinct, ids.iter().collect());
}

async fn model_status(ingestapi: &Process) -> Value {
    reqwest::get(ingestapi.url("/api/v1/ingest/model")).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_changes_its_model_beside_the_one_that_serves_and_goes_back() {
    let second = servers::second_model();
    let mut cluster = Cluster::start(1).await;
    tokio::task::block_in_place(|| assert_refused(&cluster));
    let mut promises = Promises::default();
    promises.add(Load::start(&cluster, 0, UPLOADS).finish().await);
    let load = Load::start(&cluster, UPLOADS, UPLOADS);

    // Uploads and deletes go to both from here on. Killed rather than stopped: clients come again.
    let to_second = [(BESIDE, second.as_str())];
    cluster.restart_ingestapi(&[(BESIDE, &second), (FILLS, "true")]).await;
    cluster.workers[0].kill();
    cluster.add_worker(&to_second);
    let of_second = [(SOURCE, second.as_str()), (BESIDE, "bundled")];
    cluster.add_worker(&of_second);
    cluster.workers.remove(0);

    // Cut short, and run again.
    let mut fill = Process::start_command(&["model", "fill"], &cluster.stores, DEPLOYMENT, &of_second);
    let started = Instant::now();
    loop {
        let change = &model_status(&cluster.ingestapi).await["change"];
        if change["to"]["source"] == second.as_str() && change["indexed"].as_u64() > Some(0) {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{change}");
        tokio::time::sleep(POLL).await;
    }
    fill.kill();
    let told = fill_again(&cluster, &of_second).unwrap();
    assert!(told.contains("images are indexed by"), "{told}");
    let mut searchapi = Process::start_with("searchapi", &cluster.stores, DEPLOYMENT, &[(SOURCE, &second)]);
    searchapi.until_ready().await;
    promises.add(load.finish().await);
    promises.check(&mut cluster).await;
    let all = cluster.indexed().await;
    assert_finds(&searchapi, &all).await;
    assert_finds(&cluster.searchapi, &all).await;

    // Going back is asking the other `searchapi`. What comes and goes still does so for both.
    assert_eq!(cluster.delete(&all[0]).await, StatusCode::NO_CONTENT);
    let added = cluster.upload("new.jpg", again(&photos()[0].1, 2 * UPLOADS)).await;
    cluster.until_idle().await;
    let mut all: Vec<String> = all[1..].to_vec();
    all.push(added["image_id"].as_str().unwrap().to_owned());
    assert_finds(&searchapi, &all).await;
    assert_finds(&cluster.searchapi, &all).await;
    leave(cluster, &second).await;
}

fn fill_again(cluster: &Cluster, settings: &[(&'static str, &str)]) -> Result<String, String> {
    tokio::task::block_in_place(|| cluster.stores.command_with(DEPLOYMENT, &["model", "fill"], settings))
}

/// The model of before goes.
async fn leave(mut cluster: Cluster, second: &str) {
    let leaving = [(SOURCE, "bundled"), (BESIDE, second)];
    let remove = |cluster: &Cluster, settings: &[(&'static str, &str)]| {
        tokio::task::block_in_place(|| cluster.stores.command_with(DEPLOYMENT, &["model", "remove"], settings))
    };
    let same = remove(&cluster, &[(SOURCE, second), (BESIDE, second)]).unwrap();
    assert!(same.contains("it stays"), "{same}");
    cluster.workers.remove(0);
    cluster.restart_ingestapi(&[(SOURCE, second), (BESIDE, ""), (FILLS, "false")]).await;
    remove(&cluster, &leaving).unwrap();
    let settings = [(SOURCE, second)];
    let check = ["check", "--deep", "--idle"];
    let checked = tokio::task::block_in_place(|| cluster.stores.command_with(DEPLOYMENT, &check, &settings));
    assert!(checked.unwrap().contains(": 0 differences"));
    assert!(model_status(&cluster.ingestapi).await["change"].is_null());
    remove(&cluster, &leaving).unwrap();
}

/// A pod may wait for its node, or for an image, for minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute of waiting; `make test-all` runs it"]
async fn a_fill_waits_for_workers_that_come_late() {
    let second = servers::second_model();
    let mut cluster = Cluster::start(1).await;
    for (name, bytes) in photos() {
        cluster.upload(&name, bytes).await;
    }
    cluster.until_idle().await;
    cluster.restart_ingestapi(&[(BESIDE, &second), (FILLS, "true")]).await;
    let of_second = [(SOURCE, second.as_str()), (BESIDE, "bundled")];
    let mut fill = Process::start_command(&["model", "fill"], &cluster.stores, DEPLOYMENT, &of_second);
    tokio::time::sleep(Duration::from_mins(1)).await;
    cluster.add_worker(&of_second);
    let ended = tokio::task::block_in_place(|| fill.ended());
    assert_eq!(ended, Some(0), "{}", fill.log());
}

/// They change nothing, and their exit codes say whether trying again may help.
fn assert_refused(cluster: &Cluster) {
    let broken = tempfile::tempdir().unwrap();
    for file in fs::read_dir(servers::second_model()).unwrap().flatten() {
        fs::copy(file.path(), broken.path().join(file.file_name())).unwrap();
    }
    fs::write(broken.path().join("image.onnx"), b"no graph").unwrap();
    let source = broken.path().to_str().unwrap();
    let fill = |settings: &[(&'static str, &str)]| {
        let mut fill = Process::start_command(&["model", "fill"], &cluster.stores, DEPLOYMENT, settings);
        (fill.ended(), fill.log())
    };
    let (code, told) = fill(&[(SOURCE, source), (BESIDE, "bundled")]);
    assert!(code == Some(6) && told.contains(source), "{code:?}: {told}");
    let (code, told) = fill(&[]);
    assert!(code == Some(1) && told.contains("model.beside.source"), "{code:?}: {told}");
}
