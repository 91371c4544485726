//! What the bucket has beside objects: uploads that are not whole yet. `imagesearch check` doesn't look at them, since what a
//! crash leaves of them goes by itself once it is a day old.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::Value;

use crate::cluster::{DEPLOYMENT, Stores};

/// From the first port of SeaweedFS, that of its filer, which has a folder for each bucket.
const FILER: u16 = 6;
/// Of the mode of a file there: it is a folder.
const IS_FOLDER: u64 = 1 << 31;
/// What is removed behind an answer may take as long.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

impl Stores {
    /// Parts of uploads that lie aside, and multipart uploads that are open.
    pub(crate) async fn unfinished_uploads(&self) -> BTreeSet<String> {
        let folder = |name: &str| format!("/buckets/{DEPLOYMENT}/{name}");
        let open = self.list(&folder(".uploads")).await.unwrap_or_default();
        let mut found: BTreeSet<String> = open.iter().map(path).collect();
        // What makes a role ready has been written there.
        for upload in self.list(&folder(".staging")).await.expect("parts of uploads are kept elsewhere") {
            // Files there are what is written to try the store.
            if upload["Mode"].as_u64().unwrap() & IS_FOLDER != 0 {
                let parts = self.list(&path(&upload)).await.unwrap_or_default();
                found.extend(parts.iter().map(path));
            }
        }
        found
    }

    /// Waits until no more of uploads is left than there was before.
    pub(crate) async fn until_no_more_is_left_than(&self, before: &BTreeSet<String>) {
        let started = Instant::now();
        loop {
            let found = self.unfinished_uploads().await;
            let left: Vec<_> = found.difference(before).collect();
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "uploads left {left:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is in a folder of the filer; `None` when there is no such folder.
    async fn list(&self, folder: &str) -> Option<Vec<Value>> {
        let url = format!("http://127.0.0.1:{}{folder}/?limit=10000", self.s3.port() + FILER);
        let request = reqwest::Client::new().get(url).header("accept", "application/json");
        let answer = request.send().await.unwrap();
        if answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        let status = answer.status();
        let listed: Value = answer.json().await.unwrap();
        assert_eq!((status, &listed["ShouldDisplayLoadMore"]), (StatusCode::OK, &false.into()), "{listed}");
        // Null when it is empty.
        Some(listed["Entries"].as_array().cloned().unwrap_or_default())
    }
}

fn path(entry: &Value) -> String {
    entry["FullPath"].as_str().unwrap().to_owned()
}
