//! Antialiased resizing as Pillow does it: a convolution whose kernel grows with the reduction, rows before columns,
//! 8 bits in between.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Filter {
    Bilinear,
    /// With a = −0.5, which is Pillow's.
    Bicubic,
}

/// A part of one axis of the source, in pixels. It may start and end inside a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    start: f64,
    length: f64,
}

impl Span {
    /// What becomes the centre `kept` of `resized` pixels when `size` source pixels become `resized`; `kept` ≤ `resized`.
    pub(crate) fn of_centre(size: u32, resized: u32, kept: u32) -> Self {
        let per_pixel = f64::from(size) / f64::from(resized);
        let start = f64::from((resized - kept) / 2) * per_pixel;
        // Rounding must not reach beyond the edge.
        let length = (f64::from(kept) * per_pixel).min(f64::from(size) - start);
        Self { start, length }
    }

    pub(crate) fn whole(size: u32) -> Self {
        Self { start: 0.0, length: f64::from(size) }
    }
}

/// Makes `across` × `down` of an image into `size` (width, height) RGB pixels; no side of either may be 0.
///
/// Pixels beside the part are seen by the kernel, so the result is the same as resizing all and cutting afterwards.
pub(crate) fn resize_part(image: &RgbImage, across: Span, down: Span, size: (u32, u32), filter: Filter) -> Vec<u8> {
    let filter = match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(
        across.start,
        down.start,
        across.length,
        down.length,
    );
    let mut resized = vec![0; size.0 as usize * size.1 as usize * 3];
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw());
    let target = TypedImage::<U8x3>::from_buffer(size.0, size.1, &mut resized);
    // Buffers fit their sizes and spans lie inside the image: these are the only faults there are.
    if let (Ok(source), Ok(mut target)) = (source, target) {
        // Typed, because the untyped call compiles the resizer for every kind of pixel.
        let outcome = Resizer::new().resize_typed(&source, &mut target, &options);
        debug_assert!(outcome.is_ok(), "cannot resize: {outcome:?}");
    }
    resized
}

/// Makes all of an image `size` (width, height).
pub(crate) fn resize_whole(image: &RgbImage, size: (u32, u32), filter: Filter) -> Vec<u8> {
    resize_part(image, Span::whole(image.width()), Span::whole(image.height()), size, filter)
}

/// The largest size of these proportions that fits into `width` × `height`, never below 1 pixel a side.
pub(crate) fn fit_into(size: (u32, u32), width: u32, height: u32) -> (u32, u32) {
    let scale = (f64::from(width) / f64::from(size.0)).min(f64::from(height) / f64::from(size.1));
    let scaled = |length: u32, most: u32| ((f64::from(length) * scale).round() as u32).clamp(1, most.max(1));
    (scaled(size.0, width), scaled(size.1, height))
}
