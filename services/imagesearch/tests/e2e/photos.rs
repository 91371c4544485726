//! The main promise: photos go in, words find them.

use std::collections::HashMap;

use crate::server::{Server, captions, photo};

#[tokio::test(flavor = "multi_thread")]
async fn captions_find_their_photos() {
    let server = Server::start().await;
    let captions = captions();
    let mut caption_of = HashMap::new();
    for (name, caption) in &captions {
        let entry = server.upload(name, photo(name)).await;
        caption_of.insert(entry["image_id"].as_str().unwrap().to_owned(), caption);
    }
    server.until_idle().await;
    assert_eq!(server.indexed().await.len(), captions.len(), "every photo is indexed once");

    let mut ranks = Vec::new();
    for caption in captions.values() {
        let found = server.search(caption, 10).await;
        ranks.push(found.iter().position(|id| caption_of[id] == caption));
    }
    let recall =
        |k: usize| ranks.iter().filter(|rank| rank.is_some_and(|rank| rank < k)).count() as f64 / ranks.len() as f64;
    println!("R@1 {:.3}  R@5 {:.3}  R@10 {:.3}", recall(1), recall(5), recall(10));
    assert!(recall(1) >= 0.55 && recall(5) >= 0.85 && recall(10) >= 0.9, "{:?}", (recall(1), recall(5), recall(10)));
}
