//! `imagesearch model compare`: two real models, the known photos, real processes.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::server::{Server, fixtures, image_id, photo};

/// Among 67 photos, a caption that finds its photo or doesn't is worth so much. Processors may differ by one.
const ONE_CAPTION: f64 = 1.0 / 67.0 + 1e-9;

fn compare(a: &str, b: &str, queries: &Path, further: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imagesearch"));
    command.args(["model", "compare", a, b, "--queries"]).arg(queries).args(further);
    // Nobody listens there.
    command.env("HF_ENDPOINT", "http://127.0.0.1:1").current_dir(folder.path());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit code, and what is told.
fn refused(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn tiny(name: &str) -> String {
    fixtures().join("models").join(name).to_str().unwrap().to_owned()
}

fn bytes_in(model: &Path) -> u64 {
    ["image.onnx", "text.onnx", "tokenizer.json", "model.yaml"]
        .iter()
        .map(|file| fs::metadata(model.join(file)).unwrap().len())
        .sum()
}

#[test]
fn the_recalls_of_both_models_are_the_known_ones() {
    let second = servers::second_model();
    let queries = fixtures().join("photos/captions.json");
    let report: Value = serde_json::from_str(&said(&compare("bundled", &second, &queries, &["--json"]))).unwrap();
    assert_eq!((&report["queries"], &report["images"]), (&67.into(), &67.into()));
    let known = [
        ("recall_at_1", 0.597, 0.597),
        ("recall_at_5", 0.866, 0.836),
        ("recall_at_10", 0.940, 0.925),
        ("mrr", 0.714, 0.712),
    ];
    for (quality, (figure, of_bundled, of_second)) in report["quality"].as_array().unwrap().iter().zip(known) {
        let number = |name: &str| quality[name].as_f64().unwrap();
        assert_eq!(quality["figure"], figure);
        for (found, expected) in [(number("a"), of_bundled), (number("b"), of_second)] {
            assert!((found - expected).abs() < ONE_CAPTION + 5e-4, "{quality}");
        }
        assert!((number("b") - number("a") - number("difference")).abs() < 1e-9, "{quality}");
        assert!(number("low") <= number("difference") && number("difference") <= number("high"), "{quality}");
        assert!(number("low") <= 0.0 && number("high") >= 0.0, "67 captions can't tell the two apart: {quality}");
    }
    let (a, b) = (&report["a"], &report["b"]);
    assert_eq!((&a["dimension"], &b["dimension"]), (&512.into(), &256.into()));
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundled");
    assert_eq!(a["size_bytes"], bytes_in(&bundled));
    assert_eq!(b["size_bytes"], bytes_in(Path::new(&second)));
    for model in [a, b] {
        assert!(model["peak_memory_bytes"].as_u64().unwrap() > model["size_bytes"].as_u64().unwrap(), "{model}");
        assert!(model["images_per_s"].as_f64().unwrap() > 0.1 && model["query_ms"].as_f64().unwrap() > 0.1, "{model}");
        assert_eq!(model["images_without_vector"], 0);
    }
    assert!(report["verdict"].as_str().unwrap().starts_with("no difference"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_images_are_searched_among_while_the_server_runs() {
    let server = Server::start().await;
    for name in ["giraffe.jpg", "cat.jpg", "owl.jpg"] {
        server.upload(name, photo(name)).await;
    }
    let data_dir = server.data_dir();
    let queries = data_dir.join("queries.tsv");
    fs::write(data_dir.join("own cat.jpg"), photo("cat.jpg")).unwrap();
    let giraffe = image_id(&photo("giraffe.jpg"));
    fs::write(&queries, format!("a giraffe\t{giraffe}\na kitten playing\town cat.jpg\n")).unwrap();

    let in_store = ["--data-dir", data_dir.to_str().unwrap()];
    let told = said(&compare("bundled", "bundled", &queries, &in_store));
    assert!(told.contains("2 queries, 3 images"), "the cat is one image: {told}");
    assert!(told.contains("\nrecall@1   1.000") && told.contains("2 queries are too few"), "{told}");
    let told = said(&compare("bundled", "bundled", &queries, &[&in_store[..], &["--images", "0"]].concat()));
    assert!(told.contains("2 queries, 2 images"), "{told}");
    assert_eq!(server.upload("owl.jpg", photo("owl.jpg")).await["status"], "duplicate", "the server is as it was");

    fs::write(&queries, format!("an owl\t{}\n", image_id(b"nobody's"))).unwrap();
    let (code, told) = refused(&compare("bundled", "bundled", &queries, &in_store));
    assert!(code == Some(5) && told.contains("is not stored"), "{code:?}: {told}");
}

#[test]
fn a_picture_without_a_vector_is_not_found_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, colour) in [("black.png", [0, 0, 0]), ("red.png", [255, 0, 0])] {
        image::RgbImage::from_pixel(32, 32, image::Rgb(colour)).save(folder.path().join(name)).unwrap();
    }
    let queries = folder.path().join("queries.jsonl");
    let lines = ["blue", "red"].iter().zip(["black.png", "red.png"]);
    let lines: Vec<_> =
        lines.map(|(query, image)| serde_json::json!({"query": query, "image": image}).to_string()).collect();
    fs::write(&queries, lines.join("\n")).unwrap();
    let output = compare(&tiny("nan_for_black"), &tiny("nan_for_black"), &queries, &["--json"]);
    let report: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(report["a"]["ranks"], serde_json::json!([null, 1]));
    assert_eq!(report["a"]["images_without_vector"], 1);
}

#[test]
fn a_model_that_cannot_be_measured_is_told_once() {
    let queries = fixtures().join("photos/captions.json");
    let (code, told) = refused(&compare("bundled", &tiny("wrong_dimension"), &queries, &["--json"]));
    assert_eq!(code, Some(1), "{told}");
    let told: Value = serde_json::from_str(&told).expect("one error");
    assert!(told["error"].as_str().unwrap().contains("cannot load the model"), "{told}");
    let (code, told) = refused(&compare("hf://org/model", "bundled", &queries, &[]));
    assert!(code == Some(3) && told.matches("cannot reach").count() == 1, "{code:?}: {told}");
}
