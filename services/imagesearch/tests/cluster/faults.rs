//! Something is killed, paused or away while images come in: what was acknowledged is indexed once, nothing comes back.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::StatusCode;
use tokio::sync::RwLock;

use crate::cluster::{Cluster, again, photos};

/// Uploads images one after the other until told to stop; gives the ids that were acknowledged.
async fn upload_all(cluster: &RwLock<Cluster>, first: usize, acknowledged: &Mutex<HashSet<String>>, images: usize) {
    let photos = photos();
    for number in first..first + images {
        let bytes = again(&photos[number % photos.len()].1, number);
        let id = shared::ImageId::of(&bytes).to_string();
        let answer = cluster.read().await.try_upload(&format!("{number}.jpg"), bytes).await;
        match answer {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                acknowledged.lock().unwrap().insert(id);
            }
            // Told to come again; this client doesn't.
            Ok(answer) => {
                assert!(answer.status() == StatusCode::SERVICE_UNAVAILABLE, "{:?}", answer.text().await);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_no_upload_is_lost() {
    let cluster = Arc::new(RwLock::new(Cluster::start(2).await));
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    for round in 0..5 {
        let uploads = tokio::spawn({
            let (cluster, acknowledged) = (cluster.clone(), acknowledged.clone());
            async move { upload_all(&cluster, round * 40, &acknowledged, 40).await }
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        {
            // Held while it is away, so that uploads wait instead of failing; those under way when it goes still fail.
            let mut cluster = cluster.write().await;
            match round {
                0 => {
                    cluster.workers[0].kill();
                    cluster.workers[0].start_again();
                }
                1 => {
                    cluster.ingestapi.kill();
                    cluster.ingestapi.start_again();
                }
                2 => cluster.stores.nats.restart().await,
                3 => cluster.stores.s3.restart().await,
                _ => cluster.stores.milvus.restart().await,
            }
        }
        uploads.await.unwrap();
    }
    let mut cluster = Arc::into_inner(cluster).unwrap().into_inner();
    cluster.until_ready().await;
    let counts = cluster.until_idle().await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    let indexed = cluster.indexed().await;
    let found: HashSet<String> = indexed.iter().cloned().collect();
    println!("{} acknowledged, {} indexed, {counts}", acknowledged.len(), indexed.len());
    assert!(acknowledged.len() > 100, "only {} uploads were taken", acknowledged.len());
    assert_eq!(indexed.len(), found.len(), "an image is indexed twice");
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged but not found: {lost:?}");
    assert_eq!(counts["failed"], 0, "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_milvus_is_away_searches_say_so_and_pictures_are_served() {
    let mut cluster = Cluster::start(1).await;
    let (name, bytes) = photos().swap_remove(0);
    let id = cluster.upload(&name, bytes.clone()).await["image_id"].as_str().unwrap().to_owned();
    cluster.until_idle().await;
    cluster.stores.milvus.kill();

    let search = cluster.http.get(cluster.searchapi.url("/api/v1/image/search?text=a%20castle")).send().await.unwrap();
    assert_eq!(search.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(search.headers().contains_key("retry-after"));
    let problem: serde_json::Value = search.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("index"), "{problem}");
    let picture = cluster.http.get(cluster.cdnapi.url(&format!("/images/{id}"))).send().await.unwrap();
    assert_eq!((picture.status(), picture.bytes().await.unwrap()), (StatusCode::OK, bytes.into()));
    // Uploads go on; they are indexed once it is back.
    let (name, bytes) = photos().swap_remove(1);
    assert_eq!(cluster.upload(&name, bytes).await["status"], "queued");

    cluster.stores.milvus.restart().await;
    cluster.until_ready().await;
    let counts = cluster.until_idle().await;
    assert_eq!((&counts["indexed"], &counts["failed"]), (&2.into(), &0.into()), "{counts}");
    assert_eq!(cluster.indexed().await.len(), 2);
}
