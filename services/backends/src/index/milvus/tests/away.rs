//! A server that is killed, paused, slow, or told by somebody else to let go of a collection.

use std::{slice, time::Duration};

use futures::{
    FutureExt, TryStreamExt,
    future::{BoxFuture, join_all},
};
use milvus::v2::request::collection::ReleaseCollectionRequest;
use shared::config;
use tokio::time::{Instant, timeout};

use super::{
    super::{
        super::{ListQuery, Point, conformance::*},
        server::{Fresh, Slow, answers},
        *,
    },
    until_ready,
};

/// Beside the deadline that is configured, on a busy machine.
const SLACK: Duration = Duration::from_secs(30);

/// Asks for everything at once: each call has to end in time, and to say that the server is away.
async fn all_fail_in_time(index: &MilvusIndex, collection: &dyn Collection, written: &Point) {
    let id = written.document.image_id;
    let list = ListQuery { limit: 1, ..ListQuery::default() };
    let (spec, search) = (spec(), query(&written.vector, 0, 1));
    let calls: [(&str, BoxFuture<'_, Option<IndexError>>); 12] = [
        ("upsert", async { collection.upsert(slice::from_ref(written)).await.err() }.boxed()),
        ("set_document", async { collection.set_document(&written.document).await.err() }.boxed()),
        ("delete", async { collection.delete(&[id]).await.err() }.boxed()),
        ("search", async { collection.search(&search).await.err() }.boxed()),
        ("get", async { collection.get(id).await.err() }.boxed()),
        ("list", async { collection.list(&list).await.err() }.boxed()),
        ("count", async { collection.count(None).await.err() }.boxed()),
        ("scan", async { collection.scan().try_next().await.err() }.boxed()),
        ("open", async { index.open(&spec).await.err() }.boxed()),
        ("collections", async { index.collections().await.err() }.boxed()),
        ("remove", async { index.remove(&spec.model).await.err() }.boxed()),
        ("ready", async { index.ready().await.err() }.boxed()),
    ];
    let deadline = Duration::from_millis(index.settings.timeout_ms) + SLACK;
    join_all(calls.map(|(name, call)| async move {
        let failure = timeout(deadline, call).await.unwrap_or_else(|_| panic!("{name} does not end"));
        assert!(matches!(failure, Some(IndexError::Unavailable { .. })), "{name}: {failure:?}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_fails_calls_in_time_and_works_again_when_it_is_back() {
    let mut server = servers::milvus(&[]).await;
    let settings = config::Milvus { url: server.url(), timeout_ms: 2000, ..config::Milvus::default() };
    answers(&settings).await;
    let index = MilvusIndex::open(&settings).await.unwrap();
    let collection = collection(&index).await;
    let kept = point("kept", 0.5);
    collection.upsert(slice::from_ref(&kept)).await.unwrap();

    let written = point("written meanwhile", 1.5);
    server.pause();
    all_fail_in_time(&index, &*collection, &written).await;
    server.resume();
    server.kill();
    all_fail_in_time(&index, &*collection, &written).await;

    server.restart().await;
    until_ready(&index).await;
    assert_eq!(collection.get(kept.document.image_id).await.unwrap(), Some(kept.clone()));
    let hits = collection.search(&query(&kept.vector, 0, 1)).await.unwrap();
    assert_eq!(hits[0].document, kept.document);
    // What was asked of the paused server may have been done when it went on.
    collection.delete(&[kept.document.image_id, written.document.image_id]).await.unwrap();
    assert_eq!(collection.count(None).await.unwrap(), 0);
}

/// One request is answered within its deadline, and two are not.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_several_requests_ends_within_the_deadline_of_one() {
    const DEADLINE: Duration = Duration::from_secs(12);
    let fresh = Fresh::open().await;
    collection(&*fresh.index).await.upsert(&[point("there", 0.5)]).await.unwrap();
    let slow = Slow::before(&fresh.settings.url).await;
    let timeout_ms = u64::try_from(DEADLINE.as_millis()).unwrap();
    let settings = config::Milvus { url: slow.url.clone(), timeout_ms, ..fresh.settings.clone() };
    let collection = collection(&MilvusIndex::open(&settings).await.unwrap()).await;
    slow.delay(DEADLINE * 3 / 5);

    let there = point("there", 0.5);
    let started = Instant::now();
    while let Err(error) = collection.get(there.document.image_id).await {
        assert!(started.elapsed() < Duration::from_mins(2), "one request is not answered in time: {error:?}");
    }
    let (list, search) = (ListQuery { limit: 1, ..ListQuery::default() }, query(&there.vector, 0, 1000));
    let calls: [(&str, BoxFuture<'_, Option<IndexError>>); 4] = [
        ("upsert", async { collection.upsert(slice::from_ref(&there)).await.err() }.boxed()),
        ("set_document", async { collection.set_document(&there.document).await.err() }.boxed()),
        ("search", async { collection.search(&search).await.err() }.boxed()),
        ("list", async { collection.list(&list).await.err() }.boxed()),
    ];
    join_all(calls.map(|(name, call)| async move {
        let failure = timeout(DEADLINE + SLACK, call).await.unwrap_or_else(|_| panic!("{name} does not end"));
        assert!(matches!(failure, Some(IndexError::Unavailable { .. })), "{name}: {failure:?}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_somebody_released_is_loaded_again_before_the_index_is_ready() {
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    let kept = point("kept", 0.5);
    collection.upsert(slice::from_ref(&kept)).await.unwrap();
    fresh.index.ready().await.unwrap();

    let name = fresh.index.name(&spec().model);
    let release = ReleaseCollectionRequest::builder().collection_name(name).build().unwrap();
    fresh.index.client.sdk.release_collection(release).await.unwrap();
    let failure = fresh.index.ready().await.unwrap_err();
    assert!(matches!(failure, IndexError::Unavailable { .. }), "{failure:?}");
    until_ready(&fresh.index).await;
    // Ready is what can be searched: nothing is waited for any more.
    let hits = collection.search(&query(&kept.vector, 0, 1)).await.unwrap();
    assert_eq!(hits[0].document, kept.document);
}
