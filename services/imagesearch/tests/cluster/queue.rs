//! What a cluster tells of its tasks and jobs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::Value;

use crate::cluster::{Cluster, DEADLINE, Process};

/// Of jobs whose end the queue has not heard of: they are delivered once more, and end then.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

impl Process {
    /// Values of a metric by its one label; none while they are not told.
    pub(crate) async fn metric(&self, name: &str) -> BTreeMap<String, u64> {
        let told = reqwest::get(self.admin_url("/metrics")).await.unwrap().text().await.unwrap();
        let value = |line: &str| {
            let (label, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
            let (_, label) = label.split_once('=')?;
            Some((label.trim_matches('"').to_owned(), value.parse().unwrap()))
        };
        told.lines().filter_map(value).collect()
    }
}

impl Cluster {
    /// A task as it is now.
    pub(crate) async fn task(&self, task_id: &str) -> Value {
        self.ask(&format!("/api/v1/ingest/{task_id}")).await
    }

    /// Tasks with a status, the newest hundred.
    pub(crate) async fn tasks_that_are(&self, status: &str) -> Vec<Value> {
        let page = self.ask(&format!("/api/v1/ingest?limit=100&status={status}")).await;
        page["tasks"].as_array().unwrap().clone()
    }

    /// Waits until so many tasks are waiting for a worker.
    pub(crate) async fn until_queued(&self, tasks: usize) {
        let started = Instant::now();
        while self.tasks_that_are("queued").await.len() < tasks {
            assert!(started.elapsed() < DEADLINE, "{tasks} tasks don't come together");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the queue holds no job, whatever is said of the tasks. What metrics tell was seen some time ago; it is from
    /// after the end of all tasks when it tells of the same ones.
    pub(crate) async fn until_no_job_is_left(&self) {
        let started = Instant::now();
        loop {
            let tasks = self.ingestapi.metric("imagesearch_queue_tasks").await;
            let jobs = self.ingestapi.metric("imagesearch_queue_jobs").await;
            let counts = self.ask("/api/v1/ingest?limit=1").await["counts"].clone();
            let is_told = |(status, count): (&String, &Value)| tasks.get(status) == Some(&count.as_u64().unwrap());
            let is_current = counts.as_object().unwrap().iter().all(is_told);
            if is_current && ["in_flight", "waiting"].iter().all(|state| jobs.get(*state) == Some(&0)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the queue has {jobs:?}, and tasks {tasks:?} of {counts}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.http.get(self.ingestapi.url(path)).send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }
}
