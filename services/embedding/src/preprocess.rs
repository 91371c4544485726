//! From a decoded image to the numbers that an image graph takes: resize, cut from the centre, normalise.
//! Resizing is Pillow's antialiased convolution, because that is what models were trained with.

use image::RgbImage;

use crate::{
    decode::Target,
    resize::{Filter, Span, resize_part},
};

/// How many times the pixels that it needs the shorter side keeps when a JPEG is decoded at reduced scale.
///
/// Measured with the bundled model on 12-megapixel photos and fine stripes: above 4, embeddings differ from those of a
/// full decode as little as they do for one grey level of noise (cosine ≥ 0.9995 on photos); at 2 to 3 stripes near the
/// reduced size's own limit show as bands (cosine 0.90).
const REDUCED_SCALE_MARGIN: u32 = 4;

/// What a model wants done to a picture; read from its bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    pub resize: Resize,
    /// Width and height cut from the centre, in pixels. Without it, [`Resize::Shortest`] cuts a square.
    pub crop: Option<(u32, u32)>,
    pub interpolation: Interpolation,
    /// Of red, green and blue, after `rescale`.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// Multiplies the 8-bit value, usually 1/255.
    pub rescale: f32,
}

/// Sizes in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this size, the longer one follows.
    Shortest(u32),
    /// Width and height, whatever the proportions were.
    Squash(u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    Bilinear,
    Bicubic,
}

impl Preprocess {
    /// Width and height of what the graph gets, in pixels.
    pub fn input_size(&self) -> (u32, u32) {
        match (self.crop, self.resize) {
            (Some((width, height)), _) | (None, Resize::Squash(width, height)) => (width.max(1), height.max(1)),
            (None, Resize::Shortest(side)) => (side.max(1), side.max(1)),
        }
    }

    /// How much of a large JPEG has to be decoded for the same result.
    pub fn decode_target(&self) -> Target {
        let side = match self.resize {
            Resize::Shortest(side) => side,
            Resize::Squash(width, height) => width.max(height),
        };
        Target::ShorterSideAtLeast(side.saturating_mul(REDUCED_SCALE_MARGIN))
    }

    /// The graph's input: all red values row by row, then all green, then all blue (shape `[3, height, width]`).
    pub fn pixels(&self, image: &RgbImage) -> Vec<f32> {
        self.normalise(&self.resize_and_crop(image))
    }

    /// Resizes only what the crop keeps. Each output pixel sees the same source pixels as if all had been resized first,
    /// so the result is the same, and a picture of 1 × 150 never becomes one of 256 × 38400.
    fn resize_and_crop(&self, image: &RgbImage) -> Vec<u8> {
        let (width, height) = self.input_size();
        let (resized_width, resized_height) = self.resized(image.width(), image.height());
        let across = Span::of_centre(image.width(), resized_width, width);
        let down = Span::of_centre(image.height(), resized_height, height);
        let filter = match self.interpolation {
            Interpolation::Bilinear => Filter::Bilinear,
            Interpolation::Bicubic => Filter::Bicubic,
        };
        resize_part(image, across, down, (width, height), filter)
    }

    /// Rounds halves to even, as Python does where reference vectors come from.
    fn resized(&self, width: u32, height: u32) -> (u32, u32) {
        // A crop larger than the picture would have to invent pixels.
        let (least_width, least_height) = self.input_size();
        match self.resize {
            Resize::Squash(width, height) => (width.max(least_width), height.max(least_height)),
            Resize::Shortest(side) => {
                let scale = f64::from(side) / f64::from(width.min(height));
                let scaled = |length: u32| (f64::from(length) * scale).round_ties_even() as u32;
                (scaled(width).max(side).max(least_width), scaled(height).max(side).max(least_height))
            }
        }
    }

    fn normalise(&self, rgb: &[u8]) -> Vec<f32> {
        let plane = rgb.len() / 3;
        let mut out = vec![0.0; plane * 3];
        for (channel, values) in out.chunks_exact_mut(plane.max(1)).enumerate() {
            // One table instead of arithmetic on every pixel; the numbers are exactly the formula's.
            let table: [f32; 256] =
                std::array::from_fn(|value| (value as f32 * self.rescale - self.mean[channel]) / self.std[channel]);
            for (value, pixel) in values.iter_mut().zip(rgb.chunks_exact(3)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    fn fixture(name: &str) -> RgbImage {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images").join(name);
        image::open(path).unwrap().into_rgb8()
    }

    fn preprocess(resize: Resize, crop: Option<(u32, u32)>, interpolation: Interpolation) -> Preprocess {
        Preprocess { resize, crop, interpolation, mean: [0.5; 3], std: [0.5; 3], rescale: 1.0 / 255.0 }
    }

    #[test]
    fn resizing_matches_pillow() {
        let source = fixture("resize_source.png");
        let cases = [
            (Resize::Shortest(64), Some((56, 56)), Interpolation::Bicubic, "shortest_64_crop_56_bicubic"),
            (Resize::Shortest(64), Some((56, 56)), Interpolation::Bilinear, "shortest_64_crop_56_bilinear"),
            (Resize::Shortest(400), Some((224, 224)), Interpolation::Bicubic, "shortest_400_crop_224_bicubic"),
            (Resize::Squash(70, 70), None, Interpolation::Bicubic, "squash_70_bicubic"),
        ];
        for (resize, crop, interpolation, name) in cases {
            let ours = preprocess(resize, crop, interpolation).resize_and_crop(&source);
            let pillows = fixture(&format!("resize_{name}.png"));
            assert_eq!(ours.len(), pillows.as_raw().len(), "{name}");
            let differences: Vec<u8> = ours.iter().zip(pillows.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
            // Weights have 16 bits here and 22 there.
            let mean = differences.iter().map(|value| f64::from(*value)).sum::<f64>() / ours.len() as f64;
            assert!(differences.iter().all(|value| *value <= 2) && mean < 0.25, "{name}: mean {mean}");
        }
    }

    #[test]
    fn pixels_are_planes_of_normalised_values() {
        let settings = Preprocess {
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 2.0],
            ..preprocess(Resize::Squash(2, 1), None, Interpolation::Bicubic)
        };
        let image = RgbImage::from_raw(2, 1, vec![0, 255, 0, 255, 0, 255]).unwrap();
        assert_eq!(settings.pixels(&image), [0.0, 1.0, 1.0, -1.0, -0.5, 0.0]);
    }

    #[test]
    fn extreme_shapes_fill_the_input() {
        let settings = preprocess(Resize::Shortest(256), Some((224, 224)), Interpolation::Bicubic);
        for (width, height) in [(1, 1), (1, 150), (2000, 4), (1920, 3), (3, 65535)] {
            let pixels = settings.pixels(&RgbImage::from_pixel(width, height, image::Rgb([255, 0, 255])));
            assert_eq!(pixels.len(), 3 * 224 * 224, "{width} × {height}");
            assert_eq!((pixels[0], pixels[224 * 224], pixels[2 * 224 * 224]), (1.0, -1.0, 1.0), "{width} × {height}");
        }
    }

    #[test]
    fn a_crop_beyond_the_resized_picture_enlarges_it() {
        let settings = preprocess(Resize::Shortest(10), Some((20, 12)), Interpolation::Bilinear);
        assert_eq!(settings.input_size(), (20, 12));
        assert_eq!(settings.pixels(&RgbImage::new(30, 30)).len(), 3 * 20 * 12);
    }
}
