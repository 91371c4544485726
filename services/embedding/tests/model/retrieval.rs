//! Captions find their photos as well as the model's card says.

use std::{collections::BTreeSet, fs};

use embedding::cosine;
use serde::Deserialize;

use crate::{load, repository};

#[derive(Deserialize)]
struct Photo {
    file: String,
    caption: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_find_their_photos() {
    let folder = repository("tests/fixtures/photos");
    let photos: Vec<Photo> = serde_json::from_slice(&fs::read(folder.join("captions.json")).unwrap()).unwrap();
    assert_eq!(photos.len(), 67);
    let model = load(&repository("models/bundled")).await.unwrap();
    let prepared = photos.iter().map(|photo| {
        let bytes = fs::read(folder.join(&photo.file)).unwrap();
        model.prepare(bytes.into())
    });
    let prepared = futures::future::try_join_all(prepared).await.unwrap();
    let vectors: Vec<Vec<f32>> =
        model.embed_batch(prepared).await.into_iter().map(|vector| vector.unwrap().0).collect();

    let captions: BTreeSet<&str> = photos.iter().map(|photo| photo.caption.as_str()).collect();
    let mut ranks = Vec::new();
    for caption in &captions {
        let query = model.embed_text(caption).await.unwrap();
        let mut order: Vec<usize> = (0..photos.len()).collect();
        order.sort_by(|&one, &other| cosine(&query, &vectors[other]).total_cmp(&cosine(&query, &vectors[one])));
        ranks.push(order.iter().position(|&index| photos[index].caption == *caption).unwrap());
    }
    let recall = |at: usize| ranks.iter().filter(|rank| **rank < at).count() as f64 / ranks.len() as f64;
    let found = [recall(1), recall(5), recall(10)];
    println!("recall at 1, 5 and 10: {found:.3?}");
    assert!(found[0] >= 0.55 && found[1] >= 0.85 && found[2] >= 0.9, "{found:?}");
}
