//! PNG, WebP, GIF, BMP and TIFF, by the `image` crate.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult};

use super::{DecodeError, LimitKind, Limits, Stored, palette};
use crate::{
    exif::Exif,
    media::{MediaType, UnsupportedType},
};

pub(super) fn decode(bytes: &[u8], media: MediaType, limits: &Limits) -> Result<Stored, DecodeError> {
    let fault = |error| fault(error, media, limits);
    // The decoder looks for pixel data before it gives the size, and a file of nothing but a huge header has none.
    if let Some((width, height)) = png_size(bytes, media) {
        limits.check_pixels(width, height)?;
    }
    let palette = if media == MediaType::Tiff { palette::without_palette(bytes) } else { None };
    let stored = palette.as_ref().map_or(bytes, |(gray, _)| gray);
    let mut decoder = open(stored, media, limits).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width, height)?;
    limits.check(LimitKind::MemoryBytes, memory_bytes(&decoder))?;
    let icc_profile = decoder.icc_profile().ok().flatten();
    let exif = exif(&mut decoder, bytes, media);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(fault)?;
    if let Some((_, colors)) = &palette {
        pixels = palette::look_up(pixels, colors);
    }
    Ok(Stored { pixels, icc_profile, exif, full_width: width, full_height: height, partial: false })
}

fn open<'a>(bytes: &'a [u8], media: MediaType, limits: &Limits) -> ImageResult<impl ImageDecoder + 'a> {
    let format = match media {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Webp => ImageFormat::WebP,
        MediaType::Avif => ImageFormat::Avif,
        MediaType::Gif => ImageFormat::Gif,
        MediaType::Bmp => ImageFormat::Bmp,
        MediaType::Tiff => ImageFormat::Tiff,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_alloc_bytes);
    reader.limits(allowed);
    reader.into_decoder()
}

/// Width and height from a PNG's header, which always comes first.
fn png_size(bytes: &[u8], media: MediaType) -> Option<(u32, u32)> {
    if media != MediaType::Png || bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

/// The decoded pixels, and where they are of another kind, their copy as RGB. RGBA shrinks in place.
fn memory_bytes(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let copy = match decoder.color_type() {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        _ => u64::from(width) * u64::from(height) * 4,
    };
    decoder.total_bytes().saturating_add(copy)
}

/// A TIFF file is its own EXIF structure; the others carry one.
fn exif(decoder: &mut impl ImageDecoder, bytes: &[u8], media: MediaType) -> Exif {
    if media == MediaType::Tiff {
        return Exif::read(bytes);
    }
    match decoder.exif_metadata() {
        Ok(Some(exif)) => Exif::read(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif)),
        _ => Exif::default(),
    }
}

fn fault(error: ImageError, media: MediaType, limits: &Limits) -> DecodeError {
    match error {
        // How much it would have been is not said, only that it is more.
        ImageError::Limits(_) => DecodeError::TooLarge {
            kind: LimitKind::MemoryBytes,
            found: limits.max_alloc_bytes.saturating_add(1),
            limit: limits.max_alloc_bytes,
        },
        ImageError::Unsupported(error) => UnsupportedType::new(format!("a rare kind of {media} ({error})")).into(),
        error => DecodeError::corrupt(media, &error),
    }
}
