//! Sends one file or one list of URLs, waiting while the server is full or away.

use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use reqwest::{Method, Response, StatusCode, header, multipart};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared::{ImageId, Metadata, TaskId};
use tokio::io::AsyncReadExt as _;

use super::{Outcome, sources::Batch};
use crate::client::{Client, refusal};

/// How often a server that is full or away is asked again.
const MAX_TRIES: u32 = 10;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 256 << 10;

pub(super) struct Uploader<'a> {
    pub client: &'a Client,
    pub metadata: &'a Metadata,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    tasks: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    status: String,
    task_id: Option<TaskId>,
    error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    title: String,
    detail: Option<String>,
}

impl Uploader<'_> {
    /// Uploads a batch; one outcome a source, in order.
    ///
    /// # Errors
    /// When going on makes no sense: the server is away for good, or a key is needed.
    pub(super) async fn upload(&self, batch: Batch) -> anyhow::Result<Vec<(String, Outcome)>> {
        match batch {
            Batch::File(path) => {
                let outcome = self.upload_file(&path).await?;
                Ok(vec![(path.into_string(), outcome)])
            }
            Batch::Urls(urls) => {
                let body = json!({ "urls": urls, "metadata": self.metadata });
                let response = self
                    .send_patiently(async || Ok(self.client.request(Method::POST, "/api/v1/ingest")?.json(&body)))
                    .await?;
                let outcomes = outcomes(response).await?;
                Ok(urls.into_iter().map(String::from).zip(outcomes).collect())
            }
        }
    }

    async fn upload_file(&self, path: &Utf8Path) -> anyhow::Result<Outcome> {
        let (image_id, size_bytes) = match identify(path).await {
            Ok(known) => known,
            Err(error) => return Ok(Outcome::Failed { reason: format!("cannot read it: {error}") }),
        };
        let known = self.client.request(Method::GET, &format!("/api/v1/image/{image_id}"))?;
        if self.client.send_any(known).await?.status() == StatusCode::OK {
            return Ok(Outcome::Present);
        }
        let response = self.send_patiently(async || self.file_request(path, size_bytes).await).await?;
        Ok(outcomes(response)
            .await?
            .into_iter()
            .next()
            .unwrap_or_else(|| Outcome::Failed { reason: "the server said nothing of it".into() }))
    }

    async fn file_request(&self, path: &Utf8Path, size_bytes: u64) -> anyhow::Result<reqwest::RequestBuilder> {
        let file = tokio::fs::File::open(path).await.with_context(|| format!("cannot read {path}"))?;
        let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, READ_BYTES));
        let name = path.file_name().unwrap_or("image").to_owned();
        let part = multipart::Part::stream_with_length(body, size_bytes).file_name(name);
        let form = multipart::Form::new().text("metadata", serde_json::to_string(self.metadata)?).part("file", part);
        Ok(self.client.request(Method::POST, "/api/v1/ingest")?.multipart(form))
    }

    /// Sends a request, made anew for each try, until the server takes or refuses it.
    async fn send_patiently(
        &self,
        request: impl AsyncFn() -> anyhow::Result<reqwest::RequestBuilder>,
    ) -> anyhow::Result<Response> {
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = self.client.send_any(request().await?).await;
            let wait = match &sent {
                Ok(response)
                    if matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) =>
                {
                    retry_after(response)
                }
                Ok(_) => return sent,
                Err(_) => Duration::from_millis(250 << tries.min(6)),
            };
            if tries == MAX_TRIES {
                return sent;
            }
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
    }
}

/// Hashes a file without holding it: its id and its size in bytes.
async fn identify(path: &Utf8Path) -> std::io::Result<(ImageId, u64)> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut size_bytes = 0;
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok((ImageId::from_digest(hasher.finalize().into()), size_bytes));
        }
        hasher.update(&buffer[..read]);
        size_bytes += read as u64;
    }
}

/// One outcome an entry of the server's answer. A refusal of everything comes as a problem that may hold the entries.
async fn outcomes(response: Response) -> anyhow::Result<Vec<Outcome>> {
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || status.is_server_error() {
        return Err(refusal(response).await.into());
    }
    if !status.is_success() && status != StatusCode::MULTI_STATUS {
        return Ok(vec![Outcome::Failed { reason: refusal(response).await.message }]);
    }
    let accepted: Accepted = response.json().await.context("the server's answer is not understood")?;
    Ok(accepted.tasks.into_iter().map(outcome).collect())
}

fn outcome(entry: Entry) -> Outcome {
    match (entry.status.as_str(), entry.task_id, entry.error) {
        (_, _, Some(error)) => Outcome::Failed { reason: error.detail.unwrap_or(error.title) },
        // A duplicate with a task is being indexed just now.
        ("queued" | "duplicate", Some(task_id), None) => Outcome::Queued { task_id },
        _ => Outcome::Present,
    }
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}
