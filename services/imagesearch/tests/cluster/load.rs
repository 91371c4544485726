//! Clients of a cluster while something goes wrong with it, and what they were promised.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, Response, StatusCode, multipart};
use serde_json::Value;
use shared::FailureCode;
use tokio::task::{JoinHandle, JoinSet};

use crate::cluster::{Cluster, DEADLINE, PART_BYTES, again, photos};

/// Uploads under way at once.
const CLIENTS: usize = 8;
/// Longer than any request may take; a request that takes longer hangs.
const ANSWER: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(200);
/// One of so many images is larger than a part, so that what is there of it lies aside until all of it has come.
const LARGE_EVERY: usize = 50;
/// Which of them: it is under way when a hundred are acknowledged, as they are when something goes wrong.
const LARGE: usize = 4;

/// What clients were promised so far. Every tenth image is deleted as soon as it is acknowledged, and every other one of
/// those uploaded again.
#[derive(Default)]
pub(crate) struct Promises {
    present: HashSet<String>,
    deleted: HashSet<String>,
    /// Tasks, each with the code of its error.
    failed: Vec<(String, FailureCode)>,
}

/// Uploads, deletes, searches and reads of pictures, at the same time.
pub(crate) struct Load {
    acknowledged: Arc<AtomicUsize>,
    uploads: JoinHandle<Promises>,
    readers: JoinSet<()>,
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    ingest: String,
    search: String,
    pictures: String,
}

impl Load {
    /// Uploads `images` images, which differ from those of loads with another `first`.
    pub(crate) fn start(cluster: &Cluster, first: usize, images: usize) -> Self {
        let client = Client {
            http: reqwest::Client::builder().timeout(ANSWER).build().unwrap(),
            ingest: cluster.ingestapi.url("/api/v1/ingest"),
            search: cluster.searchapi.url("/api/v1/image/search?text=a%20castle&limit=5"),
            pictures: cluster.cdnapi.url("/images/"),
        };
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let known = Arc::new(Mutex::new(None));
        let mut readers = JoinSet::new();
        readers.spawn(client.clone().search_all_the_time());
        readers.spawn(client.clone().look_all_the_time(known.clone()));
        let uploads = tokio::spawn(client.upload_all(first, images, acknowledged.clone(), known));
        Self { acknowledged, uploads, readers }
    }

    /// Waits until so many were acknowledged.
    pub(crate) async fn until(&self, images: usize) {
        let started = Instant::now();
        while self.acknowledged.load(Ordering::Relaxed) < images {
            assert!(started.elapsed() < DEADLINE, "uploads are not taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until every upload was acknowledged.
    pub(crate) async fn finish(mut self) -> Promises {
        let promises = self.uploads.await.unwrap();
        self.readers.abort_all();
        while let Some(ended) = self.readers.join_next().await {
            // One that broke off has seen something that must not be.
            assert!(ended.as_ref().is_err_and(tokio::task::JoinError::is_cancelled), "{ended:?}");
        }
        promises
    }
}

impl Client {
    async fn upload_all(
        self,
        first: usize,
        images: usize,
        acknowledged: Arc<AtomicUsize>,
        known: Arc<Mutex<Option<String>>>,
    ) -> Promises {
        let photos = Arc::new(photos());
        let next = Arc::new(AtomicUsize::new(first));
        let promises = Arc::new(Mutex::new(Promises::default()));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (client, photos, next) = (self.clone(), photos.clone(), next.clone());
            let (promises, acknowledged, known) = (promises.clone(), acknowledged.clone(), known.clone());
            clients.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + images {
                        return;
                    }
                    let bytes = image(&photos[number % photos.len()].1, number);
                    let id = shared::ImageId::of(&bytes).to_string();
                    let is_deleted = client.promise(number, bytes, &id).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    let mut promises = promises.lock().unwrap();
                    if is_deleted {
                        promises.deleted.insert(id);
                    } else {
                        *known.lock().unwrap() = Some(id.clone());
                        promises.present.insert(id);
                    }
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        Arc::into_inner(promises).unwrap().into_inner().unwrap()
    }

    /// Uploads an image, and deletes some; whether it is deleted in the end.
    async fn promise(&self, number: usize, bytes: Vec<u8>, id: &str) -> bool {
        self.until_taken(bytes.clone()).await;
        if !number.is_multiple_of(10) {
            return false;
        }
        let url = format!("{}/images/{id}", self.ingest);
        // A delete whose answer was lost finds nothing the second time.
        let gone = [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND];
        self.until_answered(&gone, || self.http.delete(&url)).await;
        if number.is_multiple_of(20) {
            // Within the time in which the queue takes the same message for a duplicate.
            self.until_taken(bytes).await;
        }
        !number.is_multiple_of(20)
    }

    async fn until_taken(&self, bytes: Vec<u8>) {
        let answer = self
            .until_answered(&[StatusCode::ACCEPTED], || {
                let part = multipart::Part::bytes(bytes.clone()).file_name("image.jpg");
                self.http.post(&self.ingest).multipart(multipart::Form::new().part("file", part))
            })
            .await;
        let answer: Value = answer.json().await.unwrap();
        let status = &answer["tasks"][0]["status"];
        assert!(status == "queued" || status == "duplicate", "{answer}");
    }

    /// Asks again for as long as it is told to, or nobody answers.
    async fn until_answered(&self, wanted: &[StatusCode], request: impl Fn() -> RequestBuilder) -> Response {
        loop {
            if let Some(answer) = ask(request()).await {
                if wanted.contains(&answer.status()) {
                    return answer;
                }
                check_refusal(answer).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn search_all_the_time(self) {
        loop {
            if let Some(answer) = ask(self.http.get(&self.search)).await
                && answer.status() != StatusCode::OK
            {
                check_refusal(answer).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look_all_the_time(self, known: Arc<Mutex<Option<String>>>) {
        loop {
            let id = known.lock().unwrap().clone();
            if let Some(id) = id
                && let Some(answer) = ask(self.http.get(format!("{}{id}", self.pictures))).await
                && answer.status() != StatusCode::OK
            {
                check_refusal(answer).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn image(photo: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = again(photo, number);
    if number % LARGE_EVERY == LARGE {
        bytes.resize(bytes.len() + PART_BYTES, 0);
    }
    bytes
}

/// `None` when the process was not there or went away meanwhile.
async fn ask(request: RequestBuilder) -> Option<Response> {
    match request.send().await {
        Ok(answer) => Some(answer),
        Err(error) => {
            assert!(!error.is_timeout(), "a request hangs: {error}");
            None
        }
    }
}

/// Whoever is refused is told why, and when to come again.
async fn check_refusal(answer: Response) {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let problem = answer.text().await.unwrap_or_default();
    let is_told = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    assert!(is_told, "{status}: {problem}");
    assert!(headers.contains_key("retry-after"), "{status} without Retry-After: {problem}");
    assert_eq!(headers["content-type"], "application/problem+json", "{problem}");
}

impl Promises {
    /// The task of an image that was acknowledged and fails, for this reason.
    pub(crate) fn expect_failed(&mut self, task_id: &str, code: FailureCode) {
        self.failed.push((task_id.to_owned(), code));
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.present.extend(more.present);
        self.deleted.extend(more.deleted);
        self.failed.extend(more.failed);
    }

    pub(crate) fn acknowledge(&mut self, id: String) {
        self.present.insert(id);
    }

    /// Waits until nothing is under way: then every image that was acknowledged is indexed once or has failed for the reason
    /// that was to be expected, nothing that was deleted is found, and nothing is left over.
    pub(crate) async fn check(&self, cluster: &mut Cluster) {
        cluster.until_ready().await;
        let settled = format!("{} indexed, 0 waiting, {} failed", self.present.len(), self.failed.len());
        let started = Instant::now();
        loop {
            cluster.until_idle().await;
            let checked = cluster.check();
            if checked.as_ref().is_ok_and(|told| told.contains(&settled) && told.contains(": 0 differences")) {
                break;
            }
            assert!(
                started.elapsed() < DEADLINE,
                "not {settled}: {checked:?}{}",
                self.against(&cluster.indexed().await)
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let indexed = cluster.indexed().await;
        let found: HashSet<String> = indexed.iter().cloned().collect();
        assert_eq!(indexed.len(), found.len(), "an image is indexed twice");
        assert!(found == self.present, "{}", self.against(&indexed));
        if let Some(id) = self.deleted.iter().next() {
            cluster.until_gone(id).await;
        }
        for (task_id, code) in &self.failed {
            let task = cluster.task(task_id).await;
            assert_eq!((&task["status"], &task["error"]["code"]), (&"failed".into(), &code.as_str().into()), "{task}");
            assert!(task["error"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{task}");
        }
        cluster.until_no_job_is_left().await;
    }

    fn against(&self, indexed: &[String]) -> String {
        let found: HashSet<String> = indexed.iter().cloned().collect();
        let lost: BTreeSet<_> = self.present.difference(&found).collect();
        let back: BTreeSet<_> = self.deleted.intersection(&found).collect();
        format!("; acknowledged but not found: {lost:?}; deleted but found: {back:?}; {} found", indexed.len())
    }
}
