//! Images that are fetched, from a real server on loopback, which only this configuration allows.

use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use shared::{FailureCode, Task, TaskStatus};

use crate::world::{World, photo};

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn code(task: &Task) -> FailureCode {
    task.error.as_ref().expect("a reason").code
}

#[tokio::test]
async fn a_fetched_image_is_indexed_under_its_name_and_a_second_one_is_a_duplicate() {
    let router = Router::new()
        .route("/{name}", get(|| async { photo("cat.jpg") }))
        .route("/moved", get(|| async { Redirect::permanent("/%E7%8C%AB.jpg") }));
    let server = serve(router).await;
    let world = World::start().await;
    let worker = world.worker();
    let task = world.ended(world.queue_url(&format!("{server}/moved")).await).await;
    assert_eq!(task.status, TaskStatus::Indexed, "{task:?}");
    let image_id = task.image_id.expect("known by now");
    assert!(world.is_indexed(image_id).await);
    let record = world.stores.records.get(image_id).await.unwrap().expect("a record");
    assert_eq!(record.document().and_then(|document| document.name.clone()).as_deref(), Some("猫.jpg"));

    let again = world.ended(world.queue_url(&format!("{server}/other.jpg")).await).await;
    assert_eq!((again.status, again.result.map(|result| result.image_id)), (TaskStatus::Duplicate, Some(image_id)));
    worker.drain().await;
}

#[tokio::test]
async fn what_can_never_be_fetched_fails_at_once_with_its_reason() {
    let router = Router::new()
        .route("/page", get(|| async { "<html>not an image</html>" }))
        .route("/large", get(|| async { vec![0xff_u8; 300_000] }))
        .route("/inside", get(|| async { Redirect::temporary("http://127.0.0.2/secret") }));
    let server = serve(router).await;
    let world = World::with(|config| config.ingestapi.max_image_bytes = 200_000).await;
    let worker = world.worker();
    let expected = [
        (format!("{server}/page"), FailureCode::UnsupportedType),
        (format!("{server}/large"), FailureCode::TooLarge),
        (format!("{server}/inside"), FailureCode::AddressRefused),
        (format!("{server}/absent"), FailureCode::FetchFailed),
        ("http://169.254.169.254/latest/meta-data".into(), FailureCode::AddressRefused),
    ];
    for (url, reason) in expected {
        let task = world.ended(world.queue_url(&url).await).await;
        assert_eq!((code(&task), task.attempts), (reason, 1), "{url}: {task:?}");
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_server_that_is_overloaded_for_a_while_is_asked_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let answer = || async {
        if ASKED.fetch_add(1, Ordering::SeqCst) < 2 {
            Err(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            Ok(photo("cat.jpg"))
        }
    };
    let server = serve(Router::new().route("/cat.jpg", get(answer))).await;
    let world = World::start().await;
    let worker = world.worker();
    let task = world.ended(world.queue_url(&format!("{server}/cat.jpg")).await).await;
    assert_eq!((task.status, task.attempts), (TaskStatus::Indexed, 3));
    worker.drain().await;
}

#[tokio::test]
async fn a_fetch_that_got_as_far_as_the_store_goes_on_from_there() {
    let server = serve(Router::new().route("/cat.jpg", get(|| async { photo("cat.jpg") }))).await;
    let world = World::with(|config| config.ingestworker.max_attempts = 50).await;
    world.collection.fail(3);
    let worker = world.worker();
    let task = world.ended(world.queue_url(&format!("{server}/cat.jpg")).await).await;
    // Not a duplicate of what its own first attempt stored.
    assert_eq!(task.status, TaskStatus::Indexed, "{task:?}");
    worker.drain().await;
}

#[tokio::test]
async fn a_delete_wins_over_a_url_that_was_asked_for_before() {
    let server = serve(Router::new().route("/cat.jpg", get(|| async { photo("cat.jpg") }))).await;
    let world = World::start().await;
    let url = format!("{server}/cat.jpg");
    let before = world.queue_url(&url).await;
    let (_, image_id) = world.upload(photo("cat.jpg")).await;
    world.ingest.delete(image_id).await.unwrap();

    let worker = world.worker();
    assert_eq!(world.ended(before).await.status, TaskStatus::Superseded);
    assert!(!world.is_indexed(image_id).await);
    let afterwards = world.queue_url(&url).await;
    assert_eq!(world.ended(afterwards).await.status, TaskStatus::Indexed);
    worker.drain().await;
}
