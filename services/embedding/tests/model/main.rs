//! The model side of the crate on real graphs: the bundled model in every layout, tiny models with known answers, sources.
#![allow(clippy::unwrap_used)]

mod bundled;
mod faults;
mod hub;
mod retrieval;
mod sources;
mod tiny;

use std::{fs, io::Cursor};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, BundleError, Embedder, EmbedderOptions};
use image::{ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

/// A folder below the repository's root.
fn repository(path: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn tiny(name: &str) -> Utf8PathBuf {
    repository("tests/fixtures/models").join(name)
}

fn options() -> EmbedderOptions {
    EmbedderOptions { threads: 2, ..EmbedderOptions::default() }
}

async fn load(folder: &Utf8Path) -> Result<Embedder, BundleError> {
    Embedder::load(Bundle::open(folder)?, options()).await
}

fn utf8(folder: &TempDir) -> &Utf8Path {
    Utf8Path::from_path(folder.path()).unwrap()
}

/// Copies a model's files, following `renames` (from, to).
fn copy_as(from: &Utf8Path, to: &Utf8Path, renames: &[(&str, &str)]) {
    for (source, target) in renames {
        let target = to.join(target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(source), target).unwrap();
    }
}

fn copy_folder(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A PNG of one colour.
fn plain_png(colour: [u8; 3]) -> Bytes {
    let mut png = Cursor::new(Vec::new());
    RgbImage::from_pixel(32, 32, Rgb(colour)).write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner().into()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-4);
    assert!(near, "{found:?} is not {expected:?}");
}

/// The same, scaled to unit length first.
#[track_caller]
fn assert_direction(found: &[f32], expected: &[f32]) {
    let length = expected.iter().map(|number| number * number).sum::<f32>().sqrt();
    assert_near(found, &expected.iter().map(|number| number / length).collect::<Vec<_>>());
}
