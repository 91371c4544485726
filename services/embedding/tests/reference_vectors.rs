//! Decoding and preprocessing give the bundled model what Pillow would have given it.
//! The references are made by tests/fixtures/make_reference_vectors.py.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use embedding::{
    decode::{Decoded, Limits, Target, decode},
    preprocess::{Interpolation, Preprocess, Resize},
};
use image::{RgbImage, imageops::FilterType};
use ort::{session::Session, value::TensorRef};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(root().join("tests/fixtures").join(name)).unwrap()
}

fn preprocess() -> Preprocess {
    Preprocess {
        resize: Resize::Shortest(256),
        crop: Some((224, 224)),
        interpolation: Interpolation::Bicubic,
        mean: [0.5; 3],
        std: [0.5; 3],
        rescale: 1.0 / 255.0,
    }
}

/// The bundled image graph and nothing else, so that what differs from the reference is decoding or preprocessing.
struct Model(Mutex<Session>);

impl Model {
    fn load() -> Self {
        let environment = embedding::onnx_environment(None).unwrap();
        let graph = root().join("models/bundled/image.onnx");
        Self(Mutex::new(Session::builder(&environment).unwrap().commit_from_file(graph).unwrap()))
    }

    fn embed(&self, image: &RgbImage) -> Vec<f32> {
        let pixels = preprocess().pixels(image);
        let input = TensorRef::from_array_view(([1, 3, 224, 224], pixels.as_slice())).unwrap();
        let mut session = self.0.lock().unwrap();
        let outputs = session.run(ort::inputs! { "pixel_values" => input }).unwrap();
        outputs[0].try_extract_tensor::<f32>().unwrap().1.to_vec()
    }
}

fn decoded(bytes: &[u8], target: Target) -> Decoded {
    decode(bytes, target, &Limits::default()).unwrap()
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn references() -> BTreeMap<String, Vec<f32>> {
    let made: serde_json::Value = serde_json::from_slice(&fixture("reference_vectors.json")).unwrap();
    let vectors = made["vectors"].as_object().unwrap();
    let floats = |text: &str| {
        let bytes = STANDARD.decode(text).unwrap();
        bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
    };
    vectors.iter().map(|(name, vector)| (name.clone(), floats(vector.as_str().unwrap()))).collect()
}

#[test]
fn photos_and_fine_stripes_embed_as_with_pillow() {
    let model = Model::load();
    let references = references();
    assert_eq!(references.len(), 68);
    for (name, reference) in references {
        let image = decoded(&fixture(&name), preprocess().decode_target());
        let cosine = cosine(&model.embed(&image.rgb), &reference);
        assert!(cosine >= 0.99, "{name}: {cosine}");
    }
}

#[test]
fn the_eight_orientations_embed_alike() {
    let model = Model::load();
    let embed = |value| model.embed(&decoded(&fixture(&format!("images/orientation_{value}.jpg")), Target::Full).rgb);
    let upright = embed(1);
    for value in 2..=8 {
        let cosine = cosine(&upright, &embed(value));
        assert!(cosine >= 0.995, "orientation {value}: {cosine}");
    }
}

#[test]
fn a_reduced_decode_embeds_as_a_full_one() {
    let model = Model::load();
    let twelve_megapixels = ["giraffe", "cat", "italy", "colosseum"].map(|name| {
        let photo = decoded(&fixture(&format!("photos/{name}.jpg")), Target::Full).rgb;
        (name, image::imageops::resize(&photo, 4000, 3000, FilterType::Triangle))
    });
    let stripes = ("stripes", decoded(&fixture("images/stripes_4000.png"), Target::Full).rgb);
    for (name, picture) in twelve_megapixels.into_iter().chain([stripes]) {
        let pixels = picture.as_raw().as_slice();
        let format = turbojpeg::PixelFormat::RGB;
        let source = turbojpeg::Image { pixels, width: 4000, pitch: 12000, height: 3000, format };
        let jpeg = turbojpeg::compress(source, 90, turbojpeg::Subsamp::None).unwrap();
        let reduced = decoded(&jpeg, preprocess().decode_target()).rgb;
        assert!(reduced.width() < 4000, "{name} was decoded in full");
        let cosine = cosine(&model.embed(&reduced), &model.embed(&decoded(&jpeg, Target::Full).rgb));
        assert!(cosine >= 0.99, "{name}: {cosine}");
    }
}
