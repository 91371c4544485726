//! The bundled model, laid out in each form that fits it, gives the same vectors.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use camino::Utf8Path;
use embedding::{Bundle, Embedder, bundle::Layout, cosine};
use serde_json::json;
use tempfile::tempdir;

use crate::{assert_near, copy_as, load, options, repository, utf8};

const TEXTS: [&str; 3] = ["a kitten playing with a ball of yarn", "Ein Hund, 狗!", "sunset"];

fn photo(name: &str) -> Bytes {
    fs::read(repository("tests/fixtures/photos").join(name)).unwrap().into()
}

/// Text vectors, then the vector of one photo as a query and as a batch.
async fn vectors(model: &Embedder) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for text in TEXTS {
        vectors.push(model.embed_text(text).await.unwrap().to_vec());
    }
    vectors.push(model.embed_query_image(photo("cat.jpg")).await.unwrap());
    let prepared = model.prepare(photo("cat.jpg")).await.unwrap();
    vectors.push(model.embed_batch(vec![prepared]).await.remove(0).unwrap().0);
    vectors
}

fn hugging_face(folder: &Utf8Path, suffix: &str) {
    let [vision, text] = ["vision", "text"].map(|half| format!("onnx/{half}_model{suffix}.onnx"));
    let renames = [("image.onnx", vision.as_str()), ("text.onnx", text.as_str()), ("tokenizer.json", "tokenizer.json")];
    copy_as(&repository("models/bundled"), folder, &renames);
    let config = json!({"model_type": "clip", "projection_dim": 512, "text_config": {"max_position_embeddings": 128}});
    let preprocess = json!({
        "do_resize": true, "size": {"shortest_edge": 256}, "resample": 3, "do_center_crop": true, "crop_size": 224,
        "do_rescale": true, "rescale_factor": 1.0 / 255.0, "do_normalize": true,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("preprocessor_config.json"), preprocess.to_string()).unwrap();
}

/// `size` is all that Immich's form says of resizing, so this is the bundled model with 224 instead of 256 pixels.
fn immich(folder: &Utf8Path) {
    let renames = [
        ("image.onnx", "visual/model.onnx"),
        ("text.onnx", "textual/model.onnx"),
        ("tokenizer.json", "textual/tokenizer.json"),
    ];
    copy_as(&repository("models/bundled"), folder, &renames);
    let files = [
        ("config.json", json!({"embed_dim": 512, "text_cfg": {"context_length": 128}})),
        ("visual/preprocess_cfg.json", json!({"size": 224, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})),
        ("textual/tokenizer_config.json", json!({"pad_token": "[PAD]"})),
    ];
    for (file, content) in files {
        fs::write(folder.join(file), content.to_string()).unwrap();
    }
    fix_batch(&folder.join("visual/model.onnx"), 2);
}

/// Rewrites the dimension named "N" to a fixed 1. In protobuf, a string of one letter (`12 01 4e`) and the number 1 with a
/// padded varint (`08 81 00`) have the same length, so nothing else moves.
fn fix_batch(graph: &Utf8Path, expected: usize) {
    const NAMED: [u8; 5] = [0x0a, 0x03, 0x12, 0x01, b'N'];
    const ONE: [u8; 5] = [0x0a, 0x03, 0x08, 0x81, 0x00];
    let mut bytes = fs::read(graph).unwrap();
    let places: Vec<usize> = (0..bytes.len() - NAMED.len()).filter(|&at| bytes[at..].starts_with(&NAMED)).collect();
    assert_eq!(places.len(), expected);
    for at in places {
        bytes[at..at + ONE.len()].copy_from_slice(&ONE);
    }
    fs::write(graph, bytes).unwrap();
}

#[tokio::test]
async fn the_hugging_face_form_is_the_same_model() {
    let ours = load(&repository("models/bundled")).await.unwrap();
    let expected = vectors(&ours).await;
    for suffix in ["", "_quantized"] {
        let folder = tempdir().unwrap();
        hugging_face(utf8(&folder), suffix);
        let bundle = Bundle::open(utf8(&folder)).unwrap();
        assert_eq!(bundle.layout(), &Layout::HuggingFace { suffix: suffix.to_owned() });
        assert_eq!(bundle.fingerprint(), ours.fingerprint());
        let theirs = Embedder::load(bundle, options()).await.unwrap();
        assert_eq!(vectors(&theirs).await, expected);
    }
}

#[tokio::test]
async fn the_immich_form_with_a_batch_of_one_is_the_same_model() {
    let ours = tempdir().unwrap();
    let names = ["image.onnx", "text.onnx", "tokenizer.json", "model.yaml"].map(|name| (name, name));
    copy_as(&repository("models/bundled"), utf8(&ours), &names);
    let manifest = fs::read_to_string(utf8(&ours).join("model.yaml")).unwrap();
    fs::write(utf8(&ours).join("model.yaml"), manifest.replace("shortest: 256", "shortest: 224")).unwrap();
    let expected = vectors(&load(utf8(&ours)).await.unwrap()).await;

    let folder = tempdir().unwrap();
    immich(utf8(&folder));
    let theirs = load(utf8(&folder)).await.unwrap();
    // The mask hides the padding up to rounding.
    for (found, expected) in vectors(&theirs).await.iter().zip(&expected) {
        assert_near(found, expected);
    }
}

#[tokio::test]
async fn a_batch_gives_what_single_images_give() {
    let model = load(&repository("models/bundled")).await.unwrap();
    let photos: Vec<Bytes> = ["cat.jpg", "giraffe.jpg", "owl.jpg"].map(photo).into_iter().cycle().take(11).collect();
    let mut prepared = Vec::new();
    for photo in &photos {
        prepared.push(model.prepare(photo.clone()).await.unwrap());
    }
    let batch = model.embed_batch(prepared).await;
    assert_eq!(batch.len(), photos.len());
    for (vector, photo) in batch.into_iter().zip(photos) {
        let single = model.embed_query_image(photo).await.unwrap();
        assert!(cosine(&vector.unwrap().0, &single) > 0.99999);
    }
}

#[tokio::test]
async fn a_repeated_query_is_answered_from_the_cache() {
    let model = load(&repository("models/bundled")).await.unwrap();
    let first = model.embed_text("a red car").await.unwrap();
    // The tokenizer makes no difference between these, so neither does the cache.
    let again = model.embed_text("  A red   CAR ").await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[tokio::test]
async fn queries_are_answered_while_batches_wait_for_their_turn() {
    const BATCHES: usize = 16;
    let model = load(&repository("models/bundled")).await.unwrap();
    let prepared = model.prepare(photo("cat.jpg")).await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let mut ingest = tokio::task::JoinSet::new();
    for _ in 0..BATCHES {
        let (model, batch, done) = (model.clone(), vec![prepared.clone(); 8], Arc::clone(&done));
        ingest.spawn(async move {
            model.embed_batch(batch).await;
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    model.embed_text("a query in between").await.unwrap();
    model.embed_query_image(photo("cat.jpg")).await.unwrap();
    // Behind the batches they would have been last.
    assert!(done.load(Ordering::Relaxed) < BATCHES);
    ingest.join_all().await;
}
