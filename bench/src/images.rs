//! What is ingested: the photos of the tests, and photos as a camera makes them.

use std::{fs, io::Cursor};

use anyhow::{Context, Result};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use image::{DynamicImage, codecs::jpeg::JpegEncoder, imageops::FilterType};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const CAMERA_WIDTH_PX: u32 = 4000;
const CAMERA_HEIGHT_PX: u32 = 3000;
const CAMERA_QUALITY: u8 = 90;
/// Noise of a sensor in daylight, so that the files are as large as those of a camera.
const SENSOR_NOISE: i16 = 4;

pub(crate) fn root() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn model() -> Utf8PathBuf {
    root().join("models/bundled")
}

pub(crate) fn photo_paths() -> Result<Vec<Utf8PathBuf>> {
    let mut paths = Vec::new();
    for entry in root().join("tests/fixtures/photos").read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("jpg") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

pub(crate) fn read(paths: &[Utf8PathBuf]) -> Result<Vec<Bytes>> {
    paths.iter().map(|path| Ok(fs::read(path).with_context(|| format!("cannot read {path}"))?.into())).collect()
}

/// Writes JPEGs of 12 megapixels into a folder; the same ones for the same count.
pub(crate) fn camera_photos(folder: &Utf8Path, count: usize) -> Result<Vec<Utf8PathBuf>> {
    let photos = photo_paths()?;
    let mut noise = SmallRng::seed_from_u64(1);
    let mut paths = Vec::new();
    for (number, photo) in photos.iter().cycle().take(count).enumerate() {
        let photo = image::open(photo)?.resize_exact(CAMERA_WIDTH_PX, CAMERA_HEIGHT_PX, FilterType::Triangle);
        let mut pixels = photo.into_rgb8();
        for value in pixels.iter_mut() {
            *value = (i16::from(*value) + noise.random_range(-SENSOR_NOISE..=SENSOR_NOISE)).clamp(0, 255) as u8;
        }
        let path = folder.join(format!("camera-{number:03}.jpg"));
        fs::write(&path, jpeg(&pixels.into(), CAMERA_QUALITY)?)?;
        paths.push(path);
    }
    Ok(paths)
}

pub(crate) fn jpeg(image: &DynamicImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?;
    Ok(bytes.into_inner())
}

/// The photo under another id: what follows the end of a JPEG is not part of the picture.
pub(crate) fn again(photo: &Bytes, number: u64) -> Bytes {
    [photo, &number.to_le_bytes()[..]].concat().into()
}
