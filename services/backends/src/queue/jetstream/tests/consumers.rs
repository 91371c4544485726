//! The consumer of a model is as this version wants it, whoever made it.

use std::time::Duration;

use async_nats::jetstream::consumer::Config;

use shared::{
    Job, ModelFingerprint,
    config::Jetstream,
    model::{FillProgress, KnownModel, ModelChoice},
};

use super::open;
use crate::queue::{
    JobQueue, QueueError,
    conformance::{LONG, lease_one, model, stored},
    jetstream::{JetstreamQueue, consumer::ACK_WAIT, server::namespace},
};

/// Makes or changes the consumer as somebody else would.
async fn by_hand(queue: &JetstreamQueue, config: Config) {
    let config =
        Config { durable_name: Some(model().0), filter_subject: queue.inner.names.job_subject(&model()), ..config };
    let context = &queue.inner.connection.context;
    context.create_consumer_on_stream(config, queue.inner.names.jobs()).await.unwrap();
}

async fn found(queue: &JetstreamQueue) -> Config {
    let context = &queue.inner.connection.context;
    let consumer = context.get_consumer_from_stream::<Config, _, _>(model().0, queue.inner.names.jobs()).await.unwrap();
    consumer.cached_info().config.clone()
}

#[tokio::test]
async fn a_consumer_of_another_version_is_brought_up_to_date_at_the_first_lease_of_a_process() {
    let config = namespace().await;
    let queue = open(&config).await;
    let old = Config {
        ack_wait: Duration::from_secs(7),
        max_deliver: 3,
        max_ack_pending: 5,
        max_waiting: 100,
        ..Config::default()
    };
    by_hand(&queue, old.clone()).await;
    queue.enqueue(&[stored(1), stored(2), stored(3)]).await.unwrap();
    lease_one(&queue, LONG).await;
    let updated = found(&queue).await;
    assert_eq!((updated.ack_wait, updated.max_deliver, updated.max_ack_pending), (ACK_WAIT, -1, -1));
    assert_eq!(updated.max_waiting, 100, "the server refuses to change it");

    by_hand(&queue, old).await;
    lease_one(&queue, LONG).await;
    assert_eq!(found(&queue).await.ack_wait, Duration::from_secs(7), "only once a process");
    let late = open(&config).await;
    lease_one(&late, LONG).await;
    assert_eq!(found(&late).await, updated);
}

#[tokio::test]
async fn delays_of_its_own_are_taken_from_a_consumer() {
    let queue = open(&namespace().await).await;
    let backoff = vec![Duration::from_secs(1), Duration::from_secs(2)];
    by_hand(&queue, Config { max_deliver: 3, backoff, headers_only: true, ..Config::default() }).await;
    let job = stored(1);
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(lease_one(&queue, LONG).await.job, job);
    let updated = found(&queue).await;
    assert_eq!((updated.backoff, updated.ack_wait, updated.headers_only), (vec![], ACK_WAIT, false));
}

#[tokio::test]
async fn a_consumer_that_was_removed_is_made_again() {
    let queue = open(&namespace().await).await;
    queue.enqueue(&[stored(1), stored(2)]).await.unwrap();
    lease_one(&queue, LONG).await;
    let context = &queue.inner.connection.context;
    context.delete_consumer_from_stream(model().0, queue.inner.names.jobs()).await.unwrap();
    lease_one(&queue, LONG).await;
    assert_eq!(found(&queue).await.ack_wait, ACK_WAIT);
}

#[tokio::test]
async fn a_consumer_of_another_kind_is_refused_with_what_to_do_and_leaves_the_jobs() {
    let queue = open(&namespace().await).await;
    by_hand(&queue, Config { deliver_subject: Some("elsewhere".into()), ..Config::default() }).await;
    queue.enqueue(&[stored(1)]).await.unwrap();
    let refused = queue.lease(&model(), 1, LONG, Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, QueueError::Unavailable { .. }), "{refused}");
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.to_string().contains(&model().0) && source.contains("remove that consumer"), "{refused}: {source}");

    let context = &queue.inner.connection.context;
    context.delete_consumer_from_stream(model().0, queue.inner.names.jobs()).await.unwrap();
    lease_one(&queue, LONG).await;
}

#[tokio::test]
async fn a_model_that_goes_takes_its_consumer_along_and_leaves_its_jobs() {
    let queue = open(&namespace().await).await;
    let leaving = ModelFingerprint("fedcba9876543210".into());
    let job = Job { model: leaving.clone(), ..stored(1) };
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    queue.enqueue(&[stored(2)]).await.unwrap();
    queue.inner.consumers.ensure(&leaving).await.unwrap();
    queue.inner.consumers.ensure(&model()).await.unwrap();
    queue.adopt(&model()).await.unwrap();
    queue.adopt(&model()).await.unwrap();
    let left = queue.inner.connection.request::<serde_json::Value>(
        "list the consumers",
        format!("CONSUMER.NAMES.{}", queue.inner.names.jobs()),
        &(),
    );
    assert_eq!(left.await.unwrap()["consumers"], serde_json::json!([model().0]));
    let leases = queue.lease(&model(), 2, LONG, LONG).await.unwrap();
    let done: Vec<_> = leases.into_iter().map(|lease| lease.job.task_id).collect();
    assert!(done.contains(&job.task_id) && done.len() == 2);
}

#[tokio::test]
async fn the_newest_of_what_is_told_of_a_model_is_in_its_bucket() {
    let config = namespace().await;
    let queue = open(&config).await;
    let known = |source: &str| KnownModel {
        choice: ModelChoice { source: source.into(), sha256: None },
        fingerprint: model(),
        dimension: 4,
    };
    let mut told = FillProgress {
        model: known("./larger"),
        beside: known("bundled"),
        indexed: 1,
        images: 10,
        seconds_left: Some(9),
    };
    for indexed in 1..=10 {
        told.indexed = indexed;
        queue.tell_fill(&told).await.unwrap();
    }
    let bucket = Jetstream::models_bucket(&config.name);
    let bucket = queue.inner.connection.context.get_key_value(bucket).await.unwrap();
    let found = bucket.get(FillProgress::KEY).await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<FillProgress>(&found).unwrap(), told);
}
