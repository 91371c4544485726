//! Sends one file or one list of URLs.

use std::path::Path;

use anyhow::Context as _;
use reqwest::{Method, Response, StatusCode, multipart};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared::{ImageId, Metadata, TaskId, telemetry::TRACE};
use tokio::io::AsyncReadExt as _;
use tracing::Instrument;

use super::{Outcome, sources::Batch};
use crate::client::{Client, refusal, refused};

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
        // A trace each: one of ten thousand images could be read by nobody.
        let span = tracing::info_span!(target: TRACE, "imagesearch ingest");
        self.send(batch).instrument(span).await
    }

    async fn send(&self, batch: Batch) -> anyhow::Result<Vec<(String, Outcome)>> {
        match batch {
            Batch::File(path) => {
                let outcome = self.upload_file(&path).await?;
                Ok(vec![(path.to_string_lossy().into_owned(), outcome)])
            }
            Batch::Urls(urls) => {
                let body = json!({ "urls": urls, "metadata": self.metadata });
                let request = async || Ok(self.client.request(Method::POST, "/api/v1/ingest")?.json(&body));
                let outcomes = outcomes(self.client.send_patiently(request).await?, urls.len()).await?;
                Ok(urls.into_iter().map(String::from).zip(outcomes).collect())
            }
        }
    }

    async fn upload_file(&self, path: &Path) -> anyhow::Result<Outcome> {
        let (image_id, size_bytes) = match identify(path).await {
            Ok(known) => known,
            Err(error) => return Ok(unreadable(&error)),
        };
        let known = async || self.client.request(Method::GET, &format!("/api/v1/image/{image_id}"));
        if self.client.send_patiently(known).await?.status() == StatusCode::OK {
            return Ok(Outcome::Present);
        }
        let response = self.client.send_patiently(async || self.file_request(path, size_bytes).await).await;
        match response {
            Ok(response) => Ok(outcomes(response, 1).await?.remove(0)),
            // The file went away after it was hashed.
            Err(error) => error.downcast::<std::io::Error>().map(|error| unreadable(&error)),
        }
    }

    async fn file_request(&self, path: &Path, size_bytes: u64) -> anyhow::Result<reqwest::RequestBuilder> {
        let file = tokio::fs::File::open(path).await?;
        let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, READ_BYTES));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = multipart::Part::stream_with_length(body, size_bytes).file_name(name);
        let form = multipart::Form::new().text("metadata", serde_json::to_string(self.metadata)?).part("file", part);
        Ok(self.client.request(Method::POST, "/api/v1/ingest")?.multipart(form))
    }
}

/// Hashes a file without holding it: its id and its size in bytes.
async fn identify(path: &Path) -> std::io::Result<(ImageId, u64)> {
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

fn unreadable(error: &std::io::Error) -> Outcome {
    Outcome::Failed { reason: format!("cannot read it: {error}") }
}

/// One outcome for each of the `count` images that were sent. When all are refused, the answer is a problem that holds
/// their entries; one that holds none stands for each of them.
async fn outcomes(response: Response, count: usize) -> anyhow::Result<Vec<Outcome>> {
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || status.is_server_error() {
        return Err(refusal(response).await.into());
    }
    let body = response.bytes().await.context("the server's answer broke off")?;
    match serde_json::from_slice::<Accepted>(&body) {
        Ok(accepted) if accepted.tasks.len() == count => Ok(accepted.tasks.into_iter().map(outcome).collect()),
        _ if status.is_success() => anyhow::bail!("the server's answer is not understood"),
        _ => Ok(vec![Outcome::Failed { reason: refused(status, &body).message }; count]),
    }
}

fn outcome(entry: Entry) -> Outcome {
    match (entry.status.as_str(), entry.task_id, entry.error) {
        (_, _, Some(error)) => Outcome::Failed { reason: error.detail.unwrap_or(error.title) },
        // A duplicate with a task is being indexed just now.
        ("queued" | "duplicate", Some(task_id), None) => Outcome::Queued { task_id },
        _ => Outcome::Present,
    }
}
