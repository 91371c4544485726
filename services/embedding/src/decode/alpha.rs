//! Transparency: laid on one background, the same at ingest and at query, so that hidden colours never show.

use image::{DynamicImage, RgbImage};

/// The colour (red, green and blue) behind transparent pixels: white, as the page that most such pictures are made for.
pub const BACKGROUND: u8 = 255;

/// Lays an image on [`BACKGROUND`].
pub(super) fn flatten(image: DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageRgb8(rgb) => rgb,
        image if !image.color().has_alpha() => image.into_rgb8(),
        image => {
            let rgba = image.into_rgba8();
            let (width, height) = rgba.dimensions();
            let rgb = shrink_to_rgb(rgba.into_raw(), |[red, green, blue, alpha]| {
                [over(red, alpha), over(green, alpha), over(blue, alpha)]
            });
            // Three bytes a pixel always fill the image.
            RgbImage::from_raw(width, height, rgb).unwrap_or_default()
        }
    }
}

fn over(value: u8, alpha: u8) -> u8 {
    let (value, alpha, background) = (u32::from(value), u32::from(alpha), u32::from(BACKGROUND));
    ((value * alpha + background * (255 - alpha) + 127) / 255) as u8
}

/// Replaces each four bytes by three without a second buffer.
pub(super) fn shrink_to_rgb(mut pixels: Vec<u8>, convert: impl Fn([u8; 4]) -> [u8; 3]) -> Vec<u8> {
    let count = pixels.len() / 4;
    for index in 0..count {
        let from = index * 4;
        let rgb = convert([pixels[from], pixels[from + 1], pixels[from + 2], pixels[from + 3]]);
        pixels[index * 3..][..3].copy_from_slice(&rgb);
    }
    pixels.truncate(count * 3);
    pixels
}
