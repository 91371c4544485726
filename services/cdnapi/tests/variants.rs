//! Resized copies: made once, kept, named by their own tags.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod site;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::{StatusCode, header};
use site::Site;

fn photo(name: &str) -> Bytes {
    std::fs::read(format!("{}/../../tests/fixtures/photos/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap().into()
}

#[tokio::test]
async fn many_who_ask_for_the_same_size_get_one_copy_that_is_kept() {
    let site = Site::start().await;
    let id = site.store([photo("giraffe.jpg")]).await;
    let get = async |query: String| {
        let response = site.client.get(site.url(&format!("/images/{id}?{query}"))).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.unwrap()
    };
    // All of them are snapped up to 128.
    let copies = join_all((100..120).map(|width| get(format!("w={width}&format=jpeg")))).await;
    assert!(copies.iter().all(|copy| *copy == copies[0]));
    let kept = site.variants();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(std::fs::read(&kept[0]).unwrap(), copies[0]);

    // However many sizes strangers think of, the ladder has ten.
    join_all((1..200).map(|step| get(format!("w={}", step * 13)))).await;
    assert!(site.variants().len() <= 11, "{:?}", site.variants());
}

#[tokio::test]
async fn a_copy_has_a_tag_of_its_own_and_is_not_sent_twice() {
    let site = Site::start().await;
    let id = site.store([photo("cat.jpg")]).await;
    let url = site.url(&format!("/images/{id}?w=64&format=webp"));
    let first = site.client.get(&url).send().await.unwrap();
    let etag = first.headers()[header::ETAG].clone();
    let original = site.client.head(site.url(&format!("/images/{id}"))).send().await.unwrap();
    assert_ne!(original.headers()[header::ETAG], etag);
    assert!(first.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert_eq!(first.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");

    let again = site.client.get(&url).header(header::IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let head = site.client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], first.headers()[header::CONTENT_LENGTH]);
    assert!(head.bytes().await.unwrap().is_empty());
}
