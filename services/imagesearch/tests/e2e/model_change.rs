//! Another model, while everybody goes on searching, uploading and deleting.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    kill::picture,
    server::{DEADLINE, Server, captions, ids, image_id, photo},
};

const PATH: &str = "/api/v1/ingest/model";
/// Stored before the change; `CHANGE_IMAGES` asks for more.
const IMAGES: usize = 300;
/// In one run of the test that kills.
const KILLS: usize = 6;
const UPLOADS_AT_ONCE: usize = 8;
const SEARCH_EVERY: Duration = Duration::from_millis(50);
const UPLOAD_EVERY: Duration = Duration::from_millis(500);
const DELETE_EVERY: Duration = Duration::from_millis(1500);

/// What clients do all the while, and what they were told.
#[derive(Default)]
struct Clients {
    is_over: AtomicBool,
    /// How long each search took.
    searches: Mutex<Vec<Duration>>,
    uploads: AtomicUsize,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    acknowledged: HashSet<String>,
    deleted: HashSet<String>,
    /// Asked for, whatever the answer.
    deleting: HashSet<String>,
    faults: Vec<String>,
}

impl Clients {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    fn fault(&self, fault: String) {
        self.told().faults.push(fault);
    }

    /// 20 searches a second, 2 uploads a second, and some deletes, until they are over.
    async fn work(&self, server: &Server) {
        tokio::join!(
            self.every(SEARCH_EVERY, || self.search(server)),
            self.every(UPLOAD_EVERY, || self.upload(server)),
            self.every(DELETE_EVERY, || self.delete(server)),
        );
    }

    async fn every<F: Future<Output = ()>>(&self, pause: Duration, act: impl Fn() -> F) {
        let mut ticks = tokio::time::interval(pause);
        while !self.is_over.load(Ordering::Relaxed) {
            ticks.tick().await;
            act().await;
        }
    }

    async fn search(&self, server: &Server) {
        let deleted = self.told().deleted.clone();
        let query = [("text", "a giraffe"), ("limit", "1000")];
        let started = Instant::now();
        let sent = server.http.get(server.url("/api/v1/image/search")).query(&query).send().await;
        self.searches.lock().unwrap().push(started.elapsed());
        let found = match sent {
            Ok(response) if response.status() == StatusCode::OK => {
                ids(&response.json::<Value>().await.unwrap()["results"])
            }
            other => return self.fault(format!("a search failed: {other:?}")),
        };
        let back: Vec<_> = found.iter().filter(|id| deleted.contains(*id)).collect();
        if found.is_empty() || !back.is_empty() {
            self.fault(format!("{} found, deleted ones among them: {back:?}", found.len()));
        }
    }

    /// How many searches there were since this was asked before, and how long one in a hundred of them took.
    fn told_of_searches(&self) -> String {
        let mut times = std::mem::take(&mut *self.searches.lock().unwrap());
        times.sort_unstable();
        let slow = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        format!("{} searches, p99 {:.1} ms", times.len(), slow.as_secs_f64() * 1e3)
    }

    async fn upload(&self, server: &Server) {
        let bytes = picture(1_000_000 + self.uploads.fetch_add(1, Ordering::Relaxed));
        let id = image_id(&bytes);
        match server.try_upload("new.png", bytes).await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => drop(self.told().acknowledged.insert(id)),
            other => self.fault(format!("an upload was refused: {other:?}")),
        }
    }

    async fn delete(&self, server: &Server) {
        let one = self.told().acknowledged.iter().next().cloned();
        let Some(id) = one else { return };
        self.told().deleting.insert(id.clone());
        let path = format!("/api/v1/ingest/images/{id}");
        match server.http.delete(server.url(&path)).send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                let mut told = self.told();
                told.acknowledged.remove(&id);
                told.deleted.insert(id);
            }
            other => self.fault(format!("a delete was refused: {other:?}")),
        }
    }
}

/// A server with images, and what clients were told of them.
async fn filled(settings: &[(&str, &str)]) -> (Server, Arc<Clients>) {
    let server = Server::start_with(settings).await;
    let images = std::env::var("CHANGE_IMAGES").map_or(IMAGES, |text| text.parse().unwrap());
    let names: Vec<String> = captions().into_keys().collect();
    let bytes = (0..images).map(|number| names.get(number).map_or_else(|| picture(number), |name| photo(name)));
    let clients = Arc::new(Clients::default());
    let ids: HashSet<String> = stream::iter(bytes)
        .map(|bytes| async {
            let entry = server.upload("image", bytes).await;
            entry["image_id"].as_str().unwrap().to_owned()
        })
        .buffer_unordered(UPLOADS_AT_ONCE)
        .collect()
        .await;
    server.until_idle().await;
    clients.told().acknowledged = ids;
    (server, clients)
}

async fn ask_for(server: &Server, source: &str) -> Response {
    server.http.put(server.url(PATH)).json(&json!({ "source": source })).send().await.unwrap()
}

/// Waits until the server says so of its model.
async fn until(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let status = server.get_json(PATH).await;
        if is_so(&status) {
            return status;
        }
        // A change takes as long as it takes; one that stands still is a fault.
        assert!(status["change"]["phase"] != "failed", "{what}: {status}");
        assert!(started.elapsed() < DEADLINE * 10, "not {what}: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the server says so of the change that it was asked for.
async fn told(server: &Server, is_so: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let status = server.get_json(PATH).await;
        if is_so(&status["change"]) {
            return status;
        }
        assert!(started.elapsed() < DEADLINE, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_used(server: &Server, source: &str) -> Value {
    until(server, source, |status| status["current"]["source"] == source && status["change"].is_null()).await
}

async fn assert_promises_kept(server: &Server, clients: &Clients) {
    server.until_idle().await;
    let told = std::mem::take(&mut *clients.told());
    assert!(told.faults.is_empty(), "{} faults, for example {}", told.faults.len(), told.faults[0]);
    let indexed = server.indexed().await;
    let distinct: HashSet<_> = indexed.iter().cloned().collect();
    assert_eq!(indexed.len(), distinct.len(), "none is there twice");
    let lost: Vec<_> = told.acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let back: Vec<_> = distinct.intersection(&told.deleted).collect();
    assert!(back.is_empty(), "back: {back:?}");
    assert_eq!(distinct.len(), told.acknowledged.len());
}

fn collections(server: &Server) -> Vec<String> {
    let folders = fs::read_dir(server.data_dir().join("index")).unwrap().flatten();
    folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_model_fails_no_search_loses_no_upload_and_goes_back_at_once() {
    let second = servers::second_model();
    let (server, clients) = filled(&[]).await;
    let before = server.get_json(PATH).await["current"].clone();
    let change = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!("before: {}", clients.told_of_searches());
        let started = Instant::now();
        assert_eq!(ask_for(&server, &second).await.status(), StatusCode::ACCEPTED);
        let status = until_used(&server, &second).await;
        println!("changed in {:.1} s: {}", started.elapsed().as_secs_f64(), clients.told_of_searches());
        assert_ne!(status["current"]["dimension"], before["dimension"]);
        assert_eq!(status["previous"]["fingerprint"], before["fingerprint"]);
        // The old collection is kept up to date, so going back has nothing to fill.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let started = Instant::now();
        assert_eq!(ask_for(&server, "bundled").await.status(), StatusCode::ACCEPTED);
        let status = until_used(&server, "bundled").await;
        println!("back in {:.1} s", started.elapsed().as_secs_f64());
        assert_eq!(status["current"], before);
        clients.is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients.work(&server), change);
    assert!(clients.uploads.load(Ordering::Relaxed) > 5);
    assert_promises_kept(&server, &clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_after_sigkill_at_any_moment() {
    let second = servers::second_model();
    let (mut server, clients) = filled(&[("INGESTWORKER__LEASE_MS", "1000")]).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    assert_eq!(ask_for(&server, &second).await.status(), StatusCode::ACCEPTED);
    for _ in 0..KILLS {
        let delay = Duration::from_millis(random.random_range(100..8000));
        tokio::select! {
            () = clients.work(&server) => {}
            () = tokio::time::sleep(delay) => {}
        }
        server.kill();
        server.start_again().await;
    }
    until_used(&server, &second).await;
    server.until_swept().await;
    // What was under way when the process was killed may have been done without an answer.
    clients.told().faults.clear();
    let sent = (0..clients.uploads.load(Ordering::Relaxed)).map(|number| image_id(&picture(1_000_000 + number)));
    let sent: HashSet<String> = sent.collect();
    let indexed: HashSet<String> = server.indexed().await.into_iter().collect();
    let mut told = std::mem::take(&mut *clients.told());
    told.acknowledged.extend(indexed.iter().filter(|id| sent.contains(*id) && !told.deleted.contains(*id)).cloned());
    told.acknowledged.retain(|id| indexed.contains(id) || !told.deleting.contains(id));
    *clients.told() = told;
    assert_promises_kept(&server, &clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_cancelled_by_asking_for_the_current_model_and_leaves_nothing_behind() {
    let second = servers::second_model();
    let (server, clients) = filled(&[]).await;
    let before = collections(&server);
    ask_for(&server, &second).await;
    until(&server, "indexing", |status| status["change"]["indexed"].as_u64() > Some(0)).await;
    assert_eq!(collections(&server).len(), before.len() + 1);
    ask_for(&server, "bundled").await;
    until(&server, "cancelled", |status| status["change"].is_null() && collections(&server) == before).await;
    assert_promises_kept(&server, &clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_of_no_use_changes_nothing_and_says_why() {
    let (server, clients) = filled(&[]).await;
    let before = server.get_json(PATH).await;
    let broken = tempfile::tempdir().unwrap();
    for file in fs::read_dir(servers::second_model()).unwrap().flatten() {
        fs::copy(file.path(), broken.path().join(file.file_name())).unwrap();
    }
    // The wrong inputs: a text graph where the image graph should be.
    fs::copy(broken.path().join("text.onnx"), broken.path().join("image.onnx")).unwrap();
    let settings = fs::read_to_string(broken.path().join("model.yaml")).unwrap();
    let unchecked: Vec<_> = settings.lines().take_while(|line| !line.starts_with("checksums")).collect();
    fs::write(broken.path().join("model.yaml"), unchecked.join("\n")).unwrap();
    for source in [broken.path().to_str().unwrap(), "/nowhere/model"] {
        ask_for(&server, source).await;
        let status = told(&server, |change| change["to"]["source"] == source && change["phase"] == "failed").await;
        let reason = status["change"]["reason"].as_str().unwrap();
        assert!(reason.contains(source), "{reason}");
        assert_eq!(status["current"], before["current"]);
        let output = server.command(&["status"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(reason));
    }
    // Nobody answers there; the second one is no source at all.
    for end in ["", "#unclear"] {
        let source = format!("https://somebody:s3cr3t@127.0.0.1:1/model.tar?token=s3cr3t{end}");
        assert_eq!(ask_for(&server, &source).await.status(), StatusCode::ACCEPTED);
        let shown = format!("https://127.0.0.1:1/model.tar{end}");
        let status =
            told(&server, |change| change["to"]["source"] == shown.as_str() && change["reason"].is_string()).await;
        assert!(!status.to_string().contains("s3cr3t"), "{status}");
    }
    assert!(server.log().contains("127.0.0.1:1/model.tar") && !server.log().contains("s3cr3t"));
    for refused in [json!({ "source": " " }), json!({ "source": "bundled", "sha256": "AAA" })] {
        let response = server.http.put(server.url(PATH)).json(&refused).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    }
    assert_promises_kept(&server, &clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_named_in_the_configuration_is_changed_to_beside_the_one_that_serves() {
    let second = servers::second_model();
    let (mut server, clients) = filled(&[("MODEL__KEEP_PREVIOUS_S", "2")]).await;
    assert_eq!(server.stop(), Some(0));
    server.set("MODEL__SOURCE", &second);
    server.start_again().await;
    assert_eq!(server.get_json(PATH).await["current"]["source"], "bundled", "it serves until the other has all images");
    assert!(!server.search("a giraffe", 1).await.is_empty());
    until_used(&server, &second).await;
    until(&server, "let go", |status| status["previous"].is_null() && collections(&server).len() == 1).await;
    server.stop();
    server.start_again().await;
    assert_eq!(server.get_json(PATH).await["current"]["source"], second.as_str());
    assert_promises_kept(&server, &clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_changes_the_model_and_tells_how_to_go_back() {
    let second = servers::second_model();
    let (server, _clients) = filled(&[]).await;
    let output = server.command(&["model", "use", &second]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("searches use {second}")) && text.contains("model use bundled"), "{text}");
    let output = server.command(&["model", "use", "./nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the model is not changed"));
}
