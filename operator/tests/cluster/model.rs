//! Another model for a stack that is searched, that grows and shrinks, and whose pods are killed.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};

use super::{
    promises::{again, photo},
    stack::{
        Forward, NAMESPACE, OPERATOR_NAMESPACE, Stack, apply_stack, condition, field, kubectl, secret, spec, until,
        until_ready,
    },
};

/// Stored before the change; `CHANGE_IMAGES` asks for more.
const IMAGES: usize = 200;
const SOURCE: &str = "s3://imagesearch/models-of-ours/second";
const STORE_PORT: u16 = 3941;
/// Each searches twice a second: an answer takes longer than the twentieth part of one.
const SEARCHERS: usize = 10;
const SEARCH_EVERY: Duration = Duration::from_millis(500);
const UPLOAD_EVERY: Duration = Duration::from_millis(500);
const DELETE_EVERY: Duration = Duration::from_millis(2500);

/// What clients do all the while, and what they were told.
#[derive(Default)]
struct Clients {
    is_over: AtomicBool,
    times: Mutex<Vec<Duration>>,
    failed: Mutex<Vec<String>>,
    uploads: AtomicUsize,
    present: Mutex<BTreeSet<String>>,
}

impl Clients {
    async fn work(&self, stack: &Stack) {
        tokio::join!(
            join_all((0..SEARCHERS).map(|_| self.every(SEARCH_EVERY, || self.search(stack)))),
            self.every(UPLOAD_EVERY, || self.upload(stack)),
            self.every(DELETE_EVERY, || self.delete(stack)),
        );
    }

    async fn every<F: Future<Output = ()>>(&self, pause: Duration, act: impl Fn() -> F) {
        let mut ticks = tokio::time::interval(pause);
        while !self.is_over.load(Ordering::Relaxed) {
            ticks.tick().await;
            act().await;
        }
    }

    async fn search(&self, stack: &Stack) {
        let started = Instant::now();
        let answer = stack.search("a castle").await;
        self.times.lock().unwrap().push(started.elapsed());
        let fault = match answer {
            Ok(answer) if answer.status().is_success() => {
                let found: Value = answer.json().await.unwrap_or_default();
                (found["results"].as_array().is_none_or(Vec::is_empty)).then(|| format!("nothing found: {found}"))
            }
            Ok(answer) => Some(format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default())),
            Err(error) => Some(error.to_string()),
        };
        self.failed.lock().unwrap().extend(fault);
    }

    async fn upload(&self, stack: &Stack) {
        let number = 1_000_000 + self.uploads.fetch_add(1, Ordering::Relaxed);
        let id = stack.upload("giraffe.jpg", again(&photo("giraffe.jpg"), number)).await;
        self.present.lock().unwrap().insert(id);
    }

    async fn delete(&self, stack: &Stack) {
        let one = self.present.lock().unwrap().iter().next().cloned();
        if let Some(id) = one {
            stack.delete(&id).await;
            self.present.lock().unwrap().remove(&id);
        }
    }

    fn told_of_searches(&self) -> String {
        let mut times = std::mem::take(&mut *self.times.lock().unwrap());
        times.sort_unstable();
        let slow = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        format!("{} searches, p99 {:.0} ms", times.len(), slow.as_secs_f64() * 1e3)
    }
}

pub(crate) async fn changes_under_load_and_goes_back() {
    let stack = Stack::ready().await;
    let clients = Clients::default();
    let images = std::env::var("CHANGE_IMAGES").map_or(IMAGES, |text| text.parse().unwrap());
    let castle = photo("neuschwansteinCastle.jpg");
    let uploads = (0..images).map(|number| stack.upload("castle.jpg", again(&castle, 2_000_000 + number)));
    let uploaded: BTreeSet<String> = stream::iter(uploads).buffer_unordered(8).collect().await;
    until("the images are indexed", async || uploaded.is_subset(&stack.indexed().await).then_some(())).await;
    *clients.present.lock().unwrap() = stack.indexed().await;
    put_model(&servers::second_model());
    tokio::join!(clients.work(&stack), change(&clients));
    let failed = std::mem::take(&mut *clients.failed.lock().unwrap());
    assert!(failed.is_empty(), "{} searches failed, for example {}", failed.len(), failed[0]);
    assert_settled(&stack, &clients).await;
    apply_stack(&spec());
    until_ready().await;
}

/// To the other model, through kills, and back.
async fn change(clients: &Clients) {
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("before: {}", clients.told_of_searches());
    let started = Instant::now();
    apply_stack(&with_model(&json!({ "source": SOURCE, "keepPrevious": "1h" })));
    until("the collection fills", async || (condition("ModelCurrent", "reason") == "Reindexing").then_some(())).await;
    // Not of searchapi, whose requests under way would be lost.
    for role in ["ingestworker-b", "queue", "ingestworker"] {
        let selector = format!("app.kubernetes.io/instance=photos,app.kubernetes.io/component={role}");
        kubectl(&["delete", "pod", "--selector", &selector, "--wait=false", "--grace-period=1"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    kubectl(&["--namespace", OPERATOR_NAMESPACE, "delete", "pod", "--all", "--grace-period=0", "--force"]);
    until_current(SOURCE).await;
    println!("changed in {} s: {}", started.elapsed().as_secs(), clients.told_of_searches());
    assert_eq!(searched(), "searchapi-b");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let started = Instant::now();
    apply_stack(&with_model(&json!({ "source": "bundled", "keepPrevious": "10s" })));
    until("the Service is back", async || (searched() == "searchapi").then_some(())).await;
    println!("back in {:.1} s: {}", started.elapsed().as_secs_f64(), clients.told_of_searches());
    until_current("bundled").await;
    until("the other model is gone", async || {
        let left = field("iss/photos", ".status.model.beside.source");
        (left.is_empty() && field("deployment/photos-searchapi-b", ".metadata.name").is_empty()).then_some(())
    })
    .await;
    clients.is_over.store(true, Ordering::Relaxed);
}

/// Whose pods the Service asks.
fn searched() -> String {
    field("service/photos-searchapi", ".spec.selector.app\\.kubernetes\\.io/component")
}

fn with_model(model: &Value) -> Value {
    let mut changed = spec();
    changed["model"] = model.clone();
    changed
}

async fn until_current(source: &str) {
    until(&format!("searches use {source}"), async || {
        let is_current = field("iss/photos", ".status.model.current.source") == source;
        (is_current && condition("ModelCurrent", "status") == "True").then_some(())
    })
    .await;
}

async fn assert_settled(stack: &Stack, clients: &Clients) {
    let present = clients.present.lock().unwrap().clone();
    until("what was promised is what is found", async || (stack.indexed().await == present).then_some(())).await;
}

/// Puts a model's files where the stack keeps its own.
fn put_model(folder: &str) {
    let _store = Forward::to(NAMESPACE, "service/photos-objectstore", STORE_PORT, 9000);
    let entry = |name: &str| secret("photos-objectstore-credentials", name);
    let login = format!("{}:{}", entry("access-key-id"), entry("secret-access-key"));
    for file in std::fs::read_dir(Path::new(folder)).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        let url = format!("http://127.0.0.1:{STORE_PORT}/{}/{name}", SOURCE.trim_start_matches("s3://"));
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--retry", "20", "--retry-all-errors", "--retry-delay", "1"]);
        curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--config", "-", "--upload-file"]).arg(file.path()).arg(&url);
        let mut child = curl.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("user = \"{login}\"\n").as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "{url}");
    }
}
