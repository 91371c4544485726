//! A model that one process fetches, for roles that reach nothing but their stores.

use std::{path::Path, time::Duration};

use reqwest::StatusCode;

use crate::{
    cluster::{Cluster, DEPLOYMENT, Stores, photos},
    hub::{Hub, SOURCE},
};

#[tokio::test(flavor = "multi_thread")]
async fn roles_wait_for_the_model_in_the_object_store_and_load_it_from_there() {
    // Nobody listens there: of all processes, only the one that fetches reaches the hub.
    let away = [("HF_ENDPOINT", "http://127.0.0.1:1"), ("IMAGESEARCH_MODEL__SOURCE", SOURCE)];
    let mut cluster = Cluster::start_with(Stores::start().await, 1, &away);
    for process in [&cluster.ingestapi, &cluster.searchapi, &cluster.workers[0]] {
        loop {
            match process.readiness().await {
                Some((StatusCode::SERVICE_UNAVAILABLE, told)) if told.to_string().contains("127.0.0.1:1") => break,
                Some((StatusCode::OK, _)) => panic!("a role is ready without its model"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    let hub = Hub::start(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundled")).await;
    let model = [("HF_ENDPOINT", hub.url.as_str()), ("IMAGESEARCH_MODEL__SOURCE", SOURCE)];
    let fetched = tokio::task::block_in_place(|| cluster.stores.command_with(DEPLOYMENT, &["model", "fetch"], &model));
    assert!(fetched.unwrap().contains("is in the object store"));
    let asked = hub.requests();
    cluster.until_ready().await;
    for (name, bytes) in photos().into_iter().take(3) {
        cluster.upload(&name, bytes).await;
    }
    cluster.until_idle().await;
    assert_eq!(cluster.search("a photo", 10).await.len(), 3);
    let check = ["check", "--deep", "--idle"];
    tokio::task::block_in_place(|| cluster.stores.command_with(DEPLOYMENT, &check, &away)).unwrap();
    assert_eq!(hub.requests(), asked, "only the one that fetched has asked the hub");
}
