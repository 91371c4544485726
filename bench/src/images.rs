//! What is ingested: the photos of the tests, and photos as a camera makes them.

use std::{fs, io::Cursor, ops::Range};

use anyhow::{Context, Result};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use futures::stream;
use image::{DynamicImage, codecs::jpeg::JpegEncoder, imageops::FilterType};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use reqwest::Body;

const CAMERA_WIDTH_PX: u32 = 4000;
const CAMERA_HEIGHT_PX: u32 = 3000;
const CAMERA_QUALITY: u8 = 90;
/// Noise of a sensor in daylight, so that the files are as large as those of a camera.
const SENSOR_NOISE: i16 = 4;
/// A picture as pages show it, of 60 to 100 kB.
const PAGE_WIDTH_PX: u32 = 640;
const PAGE_HEIGHT_PX: u32 = 480;
const PAGE_QUALITY: u8 = 85;
const PAGE_BYTES: usize = 100_000;
/// As much of a body is sent as one piece.
const PIECE_BYTES: usize = 64 << 10;

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
        let photo = taken(photo, CAMERA_WIDTH_PX, CAMERA_HEIGHT_PX, &mut noise)?;
        let path = folder.join(format!("camera-{number:03}.jpg"));
        fs::write(&path, jpeg(&photo, CAMERA_QUALITY)?)?;
        paths.push(path);
    }
    Ok(paths)
}

/// A photo in another size, with a sensor's noise.
fn taken(photo: &Utf8Path, width_px: u32, height_px: u32, noise: &mut SmallRng) -> Result<DynamicImage> {
    let mut pixels = image::open(photo)?.resize_exact(width_px, height_px, FilterType::Triangle).into_rgb8();
    for value in pixels.iter_mut() {
        *value = (i16::from(*value) + noise.random_range(-SENSOR_NOISE..=SENSOR_NOISE)).clamp(0, 255) as u8;
    }
    Ok(pixels.into())
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

/// Any number of different images of one size: a few photos, each brought to its size, and made another one, by what follows
/// the end of its JPEG. Decoding never gets there.
pub(crate) struct Photos {
    photos: Vec<Bytes>,
    size_bytes: usize,
}

impl Photos {
    pub(crate) fn of_100_kb() -> Result<Self> {
        let mut noise = SmallRng::seed_from_u64(1);
        let mut photos = Vec::new();
        for path in photo_paths()? {
            let photo = jpeg(&taken(&path, PAGE_WIDTH_PX, PAGE_HEIGHT_PX, &mut noise)?, PAGE_QUALITY)?;
            if photo.len() <= PAGE_BYTES - size_of::<usize>() {
                photos.push(photo.into());
            }
        }
        anyhow::ensure!(!photos.is_empty(), "no photo has less than {PAGE_BYTES} bytes");
        Ok(Self { photos, size_bytes: PAGE_BYTES })
    }

    pub(crate) fn with_size(&self, size_bytes: usize) -> Self {
        Self { photos: self.photos.clone(), size_bytes }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(crate) fn number(&self, number: usize) -> Bytes {
        let mut image = self.photos[number % self.photos.len()].to_vec();
        image.resize(self.size_bytes - size_of::<usize>(), 0);
        image.extend_from_slice(&number.to_le_bytes());
        image.into()
    }

    /// Bodies with their lengths.
    pub(crate) fn numbered(&self, numbers: Range<usize>) -> impl Iterator<Item = (Body, u64)> {
        numbers.map(|number| (self.number(number).into(), self.size_bytes as u64))
    }

    /// The same, never whole in memory.
    pub(crate) fn streamed(&self, numbers: Range<usize>) -> impl Iterator<Item = (Body, u64)> {
        let filling = Bytes::from(vec![0; PIECE_BYTES]);
        numbers.map(move |number| {
            let photo = self.photos[number % self.photos.len()].clone();
            let filling_bytes = self.size_bytes - photo.len() - size_of::<usize>();
            let filling = filling.clone();
            let pieces = (0..filling_bytes.div_ceil(PIECE_BYTES))
                .map(move |piece| filling.slice(..PIECE_BYTES.min(filling_bytes - piece * PIECE_BYTES)));
            let last = Bytes::copy_from_slice(&number.to_le_bytes());
            let pieces = std::iter::once(photo).chain(pieces).chain([last]);
            (Body::wrap_stream(stream::iter(pieces.map(anyhow::Ok))), self.size_bytes as u64)
        })
    }
}
