//! Each fault of a bundle is its own error, before anything is served.

use std::{error::Error, fs};

use camino::Utf8Path;
use embedding::{Bundle, BundleError, Embedder, EmbedderOptions};
use tempfile::tempdir;

use crate::{copy_folder, load, tiny, utf8};

/// The tiny model in a folder of its own, with one thing changed.
async fn changed(model: &str, change: impl FnOnce(&Utf8Path)) -> (BundleError, String) {
    let folder = tempdir().unwrap();
    copy_folder(&tiny(model), utf8(&folder));
    change(utf8(&folder));
    let error = load(utf8(&folder)).await.err().expect("the model must be refused");
    let text = error.to_string();
    (error, text)
}

fn write(folder: &Utf8Path, file: &str, content: &str) {
    fs::write(folder.join(file), content).unwrap();
}

fn replace(folder: &Utf8Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    assert!(text.contains(from));
    write(folder, file, &text.replace(from, to));
}

#[tokio::test]
async fn a_changed_file_does_not_match_its_checksum() {
    let (error, text) = changed("plain", |folder| {
        let checksum = "0".repeat(64);
        replace(folder, "model.yaml", "text:", &format!("checksums: {{image.onnx: \"{checksum}\"}}\ntext:"));
    })
    .await;
    assert!(matches!(error, BundleError::Checksum { .. }), "{text}");
    assert!(text.contains("image.onnx does not match its checksum: expected 0000"), "{text}");
}

#[tokio::test]
async fn a_missing_file_is_named() {
    for (model, file) in [
        ("plain", "text.onnx"),
        ("plain", "tokenizer.json"),
        ("open_clip", "textual/model.onnx"),
        ("open_clip", "visual/preprocess_cfg.json"),
        ("clip", "onnx/text_model.onnx"),
        ("clip", "preprocessor_config.json"),
        ("clip", "tokenizer.json"),
    ] {
        let (error, text) = changed(model, |folder| fs::remove_file(folder.join(file)).unwrap()).await;
        assert!(matches!(&error, BundleError::Missing { path } if path.as_str().ends_with(file)), "{text}");
    }
}

#[tokio::test]
async fn halves_of_different_dimension_are_refused() {
    let (error, text) = changed("wrong_dimension", |_| ()).await;
    assert!(matches!(error, BundleError::WrongDimension { expected: 4, found: 3, .. }), "{text}");
    let (error, text) = changed("wrong_declaration", |_| ()).await;
    assert!(matches!(error, BundleError::WrongDimension { expected: 5, found: 4, .. }), "{text}");
}

#[tokio::test]
async fn graphs_that_are_no_halves_of_a_clip_are_refused() {
    let (error, text) = changed("language_model", |_| ()).await;
    assert!(matches!(error, BundleError::NotClip { part: "text", .. }), "{text}");
    assert!(text.contains("logits"), "{text}");
    let swap = |folder: &Utf8Path| {
        fs::copy(folder.join("text.onnx"), folder.join("image.onnx")).unwrap();
    };
    let (error, text) = changed("plain", swap).await;
    assert!(matches!(error, BundleError::NotClip { part: "image", .. }), "{text}");
}

#[tokio::test]
async fn a_merged_graph_is_refused_with_the_split_export_named() {
    let (error, text) = changed("clip", |folder| {
        fs::remove_dir_all(folder.join("onnx")).unwrap();
        fs::create_dir(folder.join("onnx")).unwrap();
        write(folder, "onnx/model.onnx", "");
    })
    .await;
    assert!(matches!(error, BundleError::MergedOnly { .. }), "{text}");
    assert!(text.contains("onnx/vision_model.onnx"), "{text}");
}

#[tokio::test]
async fn a_graph_whose_output_is_not_finite_fails_its_trial_run() {
    let (error, text) = changed("always_nan", |_| ()).await;
    assert!(matches!(error, BundleError::TrialRun { .. }), "{text}");
    assert!(error.source().unwrap().to_string().contains("NaN"), "{text}");
}

#[tokio::test]
async fn a_damaged_graph_is_refused() {
    let (error, text) = changed("plain", |folder| write(folder, "image.onnx", "no graph")).await;
    assert!(matches!(&error, BundleError::Graph { path, .. } if path.as_str().ends_with("image.onnx")), "{text}");
}

#[tokio::test]
async fn settings_that_contradict_the_graph_are_refused() {
    let (error, text) =
        changed("plain", |folder| replace(folder, "model.yaml", "squash: [8, 8]", "squash: [9, 8]")).await;
    assert!(matches!(error, BundleError::WrongInputSize { .. }), "{text}");
    assert!(text.contains("8 x 8") && text.contains("9 x 8"), "{text}");
}

#[tokio::test]
async fn settings_that_make_no_sense_name_the_field() {
    for (from, to, expected) in [
        ("dimension: 4\n", "", "`dimension` is missing"),
        ("name:", "nmae:", "nmae"),
        ("std: [1, 1, 1]", "std: [1, 0, 1]", "std must be above 0"),
        ("context_length: 8", "context_length: 0", "context length"),
        ("graph: image.onnx", "graph: ../image.onnx", "points outside the model's folder"),
        ("context_length: 8", "context_length: 8\n  padding: full", "no padding token is named"),
        (
            "context_length: 8",
            "context_length: 8\n  padding: full\n  pad_token: PAD",
            "\"PAD\" is not in the vocabulary",
        ),
    ] {
        let (error, text) = changed("plain", |folder| replace(folder, "model.yaml", from, to)).await;
        assert!(matches!(error, BundleError::Invalid { .. }), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_folder_without_a_model_says_what_was_expected() {
    let folder = tempdir().unwrap();
    let error = Bundle::open(utf8(&folder)).unwrap_err();
    assert!(matches!(error, BundleError::NoModel { .. }));
    let error = Bundle::open(&utf8(&folder).join("nowhere")).unwrap_err();
    assert!(matches!(error, BundleError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn a_wanted_variant_that_is_not_there_is_an_error_that_lists_what_is() {
    let error = Bundle::open_variant(&tiny("clip"), Some("fp16")).unwrap_err();
    assert!(matches!(&error, BundleError::NoVariant { found, .. } if found == "fp32"), "{error}");
}

#[tokio::test]
async fn the_model_name_and_the_file_names_are_no_part_of_the_fingerprint() {
    let folder = tempdir().unwrap();
    copy_folder(&tiny("plain"), utf8(&folder));
    replace(utf8(&folder), "model.yaml", "name: plain", "name: other");
    let same = Bundle::open(utf8(&folder)).unwrap();
    assert_eq!(same.fingerprint(), Bundle::open(&tiny("plain")).unwrap().fingerprint());
    replace(utf8(&folder), "model.yaml", "mean: [0, 0, 0]", "mean: [0, 0, 0.1]");
    assert_ne!(same.fingerprint(), Bundle::open(utf8(&folder)).unwrap().fingerprint());
}

/// In a process of its own, because a process keeps the first library that it loaded.
#[test]
fn a_missing_library_is_a_clean_error() {
    const CHILD: &str = "IMAGESEARCH_TEST_MISSING_LIBRARY";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "faults::a_missing_library_is_a_clean_error";
        let status = std::process::Command::new(this).args(["--exact", name]).env(CHILD, "1").status().unwrap();
        assert!(status.success());
        return;
    }
    let options =
        EmbedderOptions { ort_library: Some("/nowhere/libonnxruntime.so".into()), ..EmbedderOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let loaded = runtime.block_on(Embedder::load(Bundle::open(&tiny("plain")).unwrap(), options));
    let error = loaded.err().expect("there is no such library");
    assert!(matches!(error, BundleError::Runtime(_)));
    assert!(
        error
            .to_string()
            .starts_with("cannot load ONNX Runtime from /nowhere/libonnxruntime.so (from the configuration)"),
        "{error}"
    );
}
