//! Resized copies for browsers: upright, sRGB, never larger than the original, as JPEG or lossy WebP.

use image::RgbImage;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::{
    decode::{DecodeError, Limits, Target, decode},
    resize::{Filter, Span, fit_into, resize_part, resize_whole},
};

/// 0 to 100; where artefacts stop being seen at screen sizes.
const JPEG_QUALITY: i32 = 82;
const WEBP_QUALITY: f32 = 80.0;

/// How a picture goes into a box of other proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// All of the picture, as large as it fits.
    Contain,
    /// All of the box, with what sticks out cut off at both sides.
    Cover,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Webp,
}

impl Format {
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// Sizes in pixels; at most what the original has is made. With one of them the other follows, with none it is the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fit: Fit,
    pub format: Format,
}

#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Nothing about the picture explains it: memory, or a side beyond what the format can hold.
    #[error("the resized image cannot be written as {format:?}: {reason}")]
    Encode { format: Format, reason: String },
}

impl Variant {
    /// Makes the variant of an original's bytes. Takes a core for milliseconds to seconds: not for an async thread.
    pub fn render(&self, original: &[u8], limits: &Limits) -> Result<Vec<u8>, VariantError> {
        let decoded = decode(original, self.target(), limits)?;
        let resized = self.resize(decoded.rgb, (decoded.full_width, decoded.full_height));
        match self.format {
            Format::Jpeg => jpeg(&resized),
            Format::Webp => webp(&resized),
        }
        .map_err(|reason| VariantError::Encode { format: self.format, reason })
    }

    /// The result's shorter side is at most this, so that resizing never enlarges what was decoded at reduced scale.
    fn target(&self) -> Target {
        let sides = [self.width, self.height].into_iter().flatten();
        match (self.fit, sides.clone().min(), sides.max()) {
            (Fit::Contain, Some(least), _) => Target::ShorterSideAtLeast(least),
            (Fit::Cover, _, Some(most)) => Target::ShorterSideAtLeast(most),
            _ => Target::Full,
        }
    }

    /// `full` is the original's size, which the picture may have less of than it.
    fn resize(&self, picture: RgbImage, full: (u32, u32)) -> RgbImage {
        let (most_width, most_height) =
            (self.width.unwrap_or(full.0).min(full.0), self.height.unwrap_or(full.1).min(full.1));
        let (size, pixels) = if let (Fit::Cover, Some(width), Some(height)) = (self.fit, self.width, self.height) {
            // A box beyond the picture shrinks and keeps its proportions.
            let size = fit_into((width.max(1), height.max(1)), most_width, most_height);
            let (across, down) = covering(picture.dimensions(), size);
            (size, resize_part(&picture, across, down, size, Filter::Bicubic))
        } else {
            let size = fit_into(full, most_width, most_height);
            if size == picture.dimensions() {
                return picture;
            }
            (size, resize_whole(&picture, size, Filter::Bicubic))
        };
        // Three bytes a pixel were made for this size.
        RgbImage::from_raw(size.0, size.1, pixels).unwrap_or_default()
    }
}

/// The centre of a picture that has the proportions of a size (width, height).
fn covering(picture: (u32, u32), (width, height): (u32, u32)) -> (Span, Span) {
    let (wide, high) = (u64::from(picture.0) * u64::from(height), u64::from(picture.1) * u64::from(width));
    if wide > high {
        let resized = wide.div_ceil(u64::from(picture.1)).max(u64::from(width)) as u32;
        (Span::of_centre(picture.0, resized, width), Span::whole(picture.1))
    } else {
        let resized = high.div_ceil(u64::from(picture.0)).max(u64::from(height)) as u32;
        (Span::whole(picture.0), Span::of_centre(picture.1, resized, height))
    }
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, String> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let encode = || {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(JPEG_QUALITY)?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        compressor.set_optimize(true)?;
        let pixels = picture.as_raw().as_slice();
        compressor.compress_to_vec(Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB })
    };
    encode().map_err(|error: turbojpeg::Error| error.to_string())
}

fn webp(picture: &RgbImage) -> Result<Vec<u8>, String> {
    webp::Encoder::from_rgb(picture.as_raw(), picture.width(), picture.height())
        .encode_simple(false, WEBP_QUALITY)
        .map(|encoded| encoded.to_vec())
        .map_err(|error| format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use image::{ImageFormat, Rgb};

    use super::*;
    use crate::media::{MediaType, sniff};

    /// Red, with a blue right quarter.
    fn original(width: u32, height: u32) -> Vec<u8> {
        let picture =
            RgbImage::from_fn(
                width,
                height,
                |x, _| if x * 4 >= width * 3 { Rgb([0, 0, 255]) } else { Rgb([255, 0, 0]) },
            );
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn rendered(original: &[u8], width: Option<u32>, height: Option<u32>, fit: Fit, format: Format) -> RgbImage {
        let bytes = Variant { width, height, fit, format }.render(original, &Limits::default()).unwrap();
        let expected = if format == Format::Jpeg { MediaType::Jpeg } else { MediaType::Webp };
        assert_eq!(sniff(&bytes), Ok(expected));
        decode(&bytes, Target::Full, &Limits::default()).unwrap().rgb
    }

    #[test]
    fn contain_keeps_proportions_inside_the_box() {
        let wide = original(800, 400);
        for format in [Format::Jpeg, Format::Webp] {
            let size = |width, height| rendered(&wide, width, height, Fit::Contain, format).dimensions();
            assert_eq!(size(Some(200), None), (200, 100));
            assert_eq!(size(None, Some(50)), (100, 50));
            assert_eq!(size(Some(300), Some(50)), (100, 50));
            assert_eq!(size(None, None), (800, 400));
        }
    }

    #[test]
    fn cover_fills_the_box_from_the_centre() {
        let picture = rendered(&original(800, 400), Some(100), Some(100), Fit::Cover, Format::Jpeg);
        assert_eq!(picture.dimensions(), (100, 100));
        // The centre half of the width is kept, which ends where blue starts.
        assert!(picture.get_pixel(90, 50)[0] > 200);
        assert!(picture.get_pixel(5, 5)[0] > 200);
    }

    #[test]
    fn nothing_is_enlarged() {
        let small = original(80, 40);
        assert_eq!(rendered(&small, Some(1000), None, Fit::Contain, Format::Webp).dimensions(), (80, 40));
        assert_eq!(rendered(&small, Some(1000), Some(1000), Fit::Cover, Format::Jpeg).dimensions(), (40, 40));
    }

    #[test]
    fn extreme_shapes_keep_a_pixel() {
        assert_eq!(rendered(&original(1920, 3), Some(100), None, Fit::Contain, Format::Jpeg).dimensions(), (100, 1));
        assert_eq!(rendered(&original(1, 150), Some(64), Some(64), Fit::Cover, Format::Webp).dimensions(), (1, 1));
    }

    #[test]
    fn a_large_jpeg_is_upright_and_as_large_as_asked() {
        let large = rendered(&original(1600, 1200), None, None, Fit::Contain, Format::Jpeg);
        let jpeg = jpeg(&large).unwrap();
        let picture = rendered(&jpeg, Some(320), Some(320), Fit::Cover, Format::Webp);
        assert_eq!(picture.dimensions(), (320, 320));
        let picture = rendered(&jpeg, Some(320), None, Fit::Contain, Format::Webp);
        assert_eq!(picture.dimensions(), (320, 240));
        assert!(picture.get_pixel(300, 100)[2] > 200);
    }

    #[test]
    fn an_avif_that_lies_on_its_side_has_upright_variants() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images/orientation_6.avif");
        let original = std::fs::read(path).unwrap();
        let picture = rendered(&original, Some(72), None, Fit::Contain, Format::Webp);
        assert_eq!(picture.dimensions(), (72, 48));
    }
}
