//! Whatever is logged about the stores, also when they fail: nothing of it lets anybody into them.

use crate::cluster::{Cluster, Process, Stores, photos};

const NATS_PASSWORD: &str = "nats-password-4be1f0";
const MILVUS_TOKEN: &str = "milvus:token-97d2ce";
const WRONG_PASSWORD: &str = "wrong-password-0c55aa";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_store_is_ever_logged() {
    let (nats, s3, milvus) = tokio::join!(
        servers::nats(&["--user", "imagesearch", "--pass", NATS_PASSWORD]),
        servers::s3(&[]),
        servers::milvus(&[])
    );
    let settings = [
        ("IMAGESEARCH_LOG__FILTER", "debug"),
        ("IMAGESEARCH_QUEUE__USER", "imagesearch"),
        ("IMAGESEARCH_QUEUE__PASSWORD", NATS_PASSWORD),
        ("IMAGESEARCH_INDEX__TOKEN", MILVUS_TOKEN),
    ];
    let mut cluster = Cluster::start_with(Stores { nats, s3, milvus }, 1, &settings);
    cluster.until_ready().await;
    let (name, bytes) = photos().swap_remove(0);
    cluster.upload(&name, bytes).await;
    assert_eq!(cluster.until_idle().await["indexed"], 1);
    assert_eq!(cluster.search("a photo", 1).await.len(), 1);

    // What is said of stores that refuse, and of those that went away.
    let wrong = [settings[0], settings[1], ("IMAGESEARCH_QUEUE__PASSWORD", WRONG_PASSWORD), settings[3]];
    let refused = Process::start_with("ingestapi", &cluster.stores, "others", &wrong);
    refused.until_logged("queue").await;
    for store in [&mut cluster.stores.nats, &mut cluster.stores.s3, &mut cluster.stores.milvus] {
        store.kill();
    }
    let url = cluster.searchapi.url("/api/v1/image/search?text=another");
    assert_eq!(cluster.http.get(url).send().await.unwrap().status(), 503);
    cluster.ingestapi.until_logged("connection to NATS").await;

    let s3_key = servers::settings(&cluster.stores.s3, "").secret_access_key.unwrap().reveal().to_owned();
    for log in cluster.processes().map(|process| process.log()).chain([refused.log()]) {
        assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
        for secret in [NATS_PASSWORD, MILVUS_TOKEN, WRONG_PASSWORD, &s3_key] {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} is in {line:?}");
        }
    }
}
