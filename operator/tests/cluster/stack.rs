//! The operator from its chart, a stack beside it, and a way in: `helm`, `kubectl` and HTTP, as users have them.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{StatusCode, multipart};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) const DEADLINE: Duration = Duration::from_mins(10);
pub(crate) const NAMESPACE: &str = "imagesearch-e2e";
pub(crate) const OPERATOR_NAMESPACE: &str = "imagesearch-system";
const PAGE_PORT: u16 = 3939;
const POLL: Duration = Duration::from_millis(500);

/// What the tests begin with, and come back to: small, since all of it has to fit on a small node.
pub(crate) fn spec() -> Value {
    json!({
        "objectStore": { "managed": { "engine": "SeaweedFS", "storage": "2Gi" } },
        "queue": { "managed": { "storage": "1Gi" } },
        "index": { "managed": { "storage": "2Gi" } },
        "ingestWorker": {
            "autoscaling": {
                "minReplicas": 0, "maxReplicas": 3, "targetLagPerReplica": 50, "scaleDownDelay": "15s",
            },
            "resources": { "requests": { "cpu": "100m", "memory": "256Mi" }, "limits": { "memory": "2Gi" } },
        },
    })
}

/// A stack that serves, and who talks to it.
pub(crate) struct Stack {
    pub(crate) http: reqwest::Client,
    port: u16,
    key: String,
    _page: Forward,
}

static READY: OnceCell<Duration> = OnceCell::const_new();
/// What was waited for in vain: with a stack that broke, each further test would wait as long.
static BROKEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();

impl Stack {
    /// Installs operator and stack, once; waits until everything serves.
    pub(crate) async fn ready() -> Self {
        assert_eq!(BROKEN.get(), None, "not run, since an earlier test waited in vain");
        let took = READY.get_or_init(install).await;
        println!("from nothing to Ready in {} s", took.as_secs());
        Self::connect(NAMESPACE, "photos", PAGE_PORT).await
    }

    /// To another one, through another port.
    pub(crate) async fn connect(namespace: &'static str, name: &str, port: u16) -> Self {
        let page = Forward::to(namespace, &format!("service/{name}-frontend"), port, 3000);
        let key = secret_in(namespace, &format!("{name}-key-admin"), "key");
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let stack = Self { http, port, key, _page: page };
        until("the page answers", async || {
            let answer = stack.http.get(stack.url("/healthz")).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        })
        .await;
        stack
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Uploads an image until it is taken: the answers 429 and 503 ask to be tried again. Returns its id.
    pub(crate) async fn upload(&self, name: &str, bytes: Vec<u8>) -> String {
        until("an upload is taken", async || {
            let part = multipart::Part::bytes(bytes.clone()).file_name(name.to_owned());
            let form = multipart::Form::new().part("file", part);
            let request = self.http.post(self.url("/api/v1/ingest")).bearer_auth(&self.key).multipart(form);
            let answer = request.send().await.ok()?;
            match answer.status() {
                StatusCode::ACCEPTED => {
                    let answer: Value = answer.json().await.ok()?;
                    Some(answer["tasks"][0]["image_id"].as_str().unwrap().to_owned())
                }
                status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => None,
                status => panic!("{name} is answered {status}: {}", answer.text().await.unwrap_or_default()),
            }
        })
        .await
    }

    /// Deletes an image until that is answered; one that is gone is deleted.
    pub(crate) async fn delete(&self, id: &str) {
        until("a delete is answered", async || {
            let request = self.http.delete(self.url(&format!("/api/v1/ingest/images/{id}")));
            let answer = request.bearer_auth(&self.key).send().await.ok()?;
            matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    }

    pub(crate) async fn search(&self, text: &str) -> reqwest::Result<reqwest::Response> {
        let request = self.http.get(self.url("/api/v1/image/search")).query(&[("text", text), ("limit", "5")]);
        request.bearer_auth(&self.key).send().await
    }

    /// Ids that a text finds, best first.
    pub(crate) async fn found(&self, text: &str) -> Vec<String> {
        let answer = self.search(text).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        ids(&answer["results"])
    }

    /// Every indexed image.
    pub(crate) async fn indexed(&self) -> BTreeSet<String> {
        let (mut all, mut cursor) = (BTreeSet::new(), None::<String>);
        loop {
            let mut request =
                self.http.get(self.url("/api/v1/image")).query(&[("limit", "100")]).bearer_auth(&self.key);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page = until("a page of the list", async || {
                let answer = request.try_clone().unwrap().send().await.ok()?;
                (answer.status() == StatusCode::OK).then_some(answer)
            })
            .await;
            let page: Value = page.json().await.unwrap();
            all.extend(ids(&page["images"]));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return all,
            }
        }
    }
}

fn ids(images: &Value) -> Vec<String> {
    images.as_array().unwrap().iter().map(|image| image["image_id"].as_str().unwrap().to_owned()).collect()
}

/// From a cluster without us to a stack that is ready.
async fn install() -> Duration {
    let started = Instant::now();
    install_operator(&[]);
    apply_namespace(NAMESPACE);
    until("the resource is known", async || {
        Command::new("kubectl")
            .args(["get", "crd", "imagesearchstacks.imagesearch.dev"])
            .output()
            .unwrap()
            .status
            .success()
            .then_some(())
    })
    .await;
    apply_stack(&spec());
    until_ready().await;
    started.elapsed()
}

/// Installs the chart of the operator, or brings it up to date.
pub(crate) fn install_operator(values: &[&str]) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/imagesearch-operator");
    let arguments = [
        "upgrade",
        "--install",
        "imagesearch-operator",
        chart,
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
        "--wait",
        "--timeout",
        "3m",
    ];
    helm(&[&arguments, values].concat());
}

/// Makes a namespace in which pods are restricted.
pub(crate) fn apply_namespace(namespace: &str) {
    apply(&json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
    }));
}

/// Applies the stack with this spec.
pub(crate) fn apply_stack(spec: &Value) {
    apply(&json!({
        "apiVersion": "imagesearch.dev/v1alpha1", "kind": "ImageSearchStack",
        "metadata": { "name": "photos", "namespace": NAMESPACE }, "spec": spec,
    }));
}

pub(crate) fn apply(object: &Value) {
    let mut kubectl = Command::new("kubectl").args(["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(kubectl.stdin.take().unwrap(), object).unwrap();
    assert!(kubectl.wait().unwrap().success(), "kubectl apply refuses {object}");
}

pub(crate) fn helm(arguments: &[&str]) -> String {
    run("helm", arguments)
}

/// In the namespace of the stack, unless another one is named.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let namespaced: Vec<&str> = ["--namespace", NAMESPACE].iter().chain(arguments).copied().collect();
    run("kubectl", &namespaced)
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {told}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// One of an object's fields, empty when it isn't there.
pub(crate) fn field(object: &str, path: &str) -> String {
    kubectl(&["get", object, "--ignore-not-found", "--output", &format!("jsonpath={{{path}}}")])
}

pub(crate) fn condition(kind: &str, part: &str) -> String {
    field("iss/photos", &format!(".status.conditions[?(@.type==\"{kind}\")].{part}"))
}

/// Until the newest generation is ready.
pub(crate) async fn until_ready() {
    until("the stack is ready", async || {
        let generation = field("iss/photos", ".metadata.generation");
        let observed = field("iss/photos", ".status.observedGeneration");
        (generation == observed && condition("Ready", "status") == "True").then_some(())
    })
    .await;
}

pub(crate) fn secret(name: &str, entry: &str) -> String {
    secret_in(NAMESPACE, name, entry)
}

fn secret_in(namespace: &str, name: &str, entry: &str) -> String {
    kubectl(&[
        "--namespace",
        namespace,
        "get",
        "secret",
        name,
        "--output",
        &format!("go-template={{{{index .data \"{entry}\" | base64decode}}}}"),
    ])
}

/// Looks again and again until something is there.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        if started.elapsed() > DEADLINE {
            println!("{}", kubectl(&["get", "pods,iss", "--output", "wide"]));
            println!("{}", kubectl(&["describe", "iss"]));
            println!("{}", last_words());
            let _ = BROKEN.set(what.to_owned());
            panic!("{what}: not within {} s", DEADLINE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What each container that was started again said before it ended: of a long backtrace, how it begins.
fn last_words() -> String {
    let restarted = r#"go-template={{range .items}}{{$pod := .metadata.name}}{{range .status.containerStatuses}}{{if gt .restartCount 0}}{{$pod}} {{.name}}{{"\n"}}{{end}}{{end}}{{end}}"#;
    let mut words = String::new();
    for line in kubectl(&["get", "pods", "--output", restarted]).lines() {
        let (pod, container) = line.split_once(' ').unwrap();
        let log = Command::new("kubectl")
            .args(["--namespace", NAMESPACE, "logs", pod, "--container", container, "--previous", "--tail", "2000"])
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&log.stdout);
        let lines: Vec<&str> = log.lines().collect();
        let ended = |line: &&str| line.starts_with("panic:") || line.starts_with("fatal error:");
        let from = lines.iter().position(ended).unwrap_or(lines.len()).min(lines.len().saturating_sub(20));
        let told: Vec<&str> = lines[from.saturating_sub(20)..].iter().copied().take(60).collect();
        let _ = writeln!(words, "{line} ended:\n{}", told.join("\n"));
    }
    words
}

/// `kubectl port-forward`, begun again whenever its pod has gone.
pub(crate) struct Forward {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    child: std::sync::Arc<std::sync::Mutex<Option<Child>>>,
}

impl Forward {
    pub(crate) fn to(namespace: &'static str, target: &str, local: u16, remote: u16) -> Self {
        let (stop, child) = (std::sync::Arc::default(), std::sync::Arc::<std::sync::Mutex<Option<Child>>>::default());
        let (stopped, running, target) = (std::sync::Arc::clone(&stop), child.clone(), target.to_owned());
        std::thread::spawn(move || {
            while !std::sync::atomic::AtomicBool::load(&stopped, std::sync::atomic::Ordering::Relaxed) {
                let forward = Command::new("kubectl")
                    .args(["--namespace", namespace, "port-forward", &target, &format!("{local}:{remote}")])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                *running.lock().unwrap() = Some(forward);
                loop {
                    std::thread::sleep(Duration::from_millis(100));
                    let ended =
                        running.lock().unwrap().as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
                    if ended {
                        break;
                    }
                }
            }
        });
        Self { stop, child }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
