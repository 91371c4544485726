//! What is kept of an image beside its vector: size, a blurred placeholder, and a hash that near-duplicates share.

use base64::{Engine, engine::general_purpose::STANDARD};
use image::RgbImage;
use image_hasher::{HashAlg, HasherConfig};
use shared::ImageFacts;

use crate::{
    decode::Decoded,
    resize::{Filter, fit_into, resize_whole},
};

/// Pixels of the longer side from which placeholder and hash are made; both keep far less detail.
const THUMBNAIL_SIDE: u32 = 32;

/// The facts of a decoded image. EXIF date and position are among them; who stores them decides whether they are kept.
pub fn facts(decoded: &Decoded) -> ImageFacts {
    let thumbnail = thumbnail(&decoded.rgb);
    ImageFacts {
        width: decoded.full_width,
        height: decoded.full_height,
        thumbhash: thumbhash(&thumbnail),
        perceptual_hash: perceptual_hash(&thumbnail),
        partial: decoded.partial,
        latitude: decoded.exif.latitude,
        longitude: decoded.exif.longitude,
        exif_date: decoded.exif.date,
    }
}

fn thumbnail(image: &RgbImage) -> RgbImage {
    let (width, height) = fit_into(image.dimensions(), THUMBNAIL_SIDE, THUMBNAIL_SIDE);
    RgbImage::from_raw(width, height, resize_whole(image, (width, height), Filter::Bilinear)).unwrap_or_default()
}

/// About 25 bytes, base64. Source: <https://evanw.github.io/thumbhash/>.
fn thumbhash(thumbnail: &RgbImage) -> String {
    let rgba: Vec<u8> = thumbnail.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    STANDARD.encode(thumbhash::rgba_to_thumb_hash(thumbnail.width() as usize, thumbnail.height() as usize, &rgba))
}

/// pHash: the signs of the 8 × 8 lowest frequencies of a cosine transform, around their median.
/// Source: <https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html>.
fn perceptual_hash(thumbnail: &RgbImage) -> String {
    let hasher =
        HasherConfig::with_bytes_type::<[u8; 8]>().hash_size(8, 8).hash_alg(HashAlg::Median).preproc_dct().to_hasher();
    hex::encode(hasher.hash_image(thumbnail).as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use image::Rgb;

    use super::*;
    use crate::{exif::Exif, media::MediaType};

    fn decoded(rgb: RgbImage) -> Decoded {
        let (full_width, full_height) = rgb.dimensions();
        Decoded { rgb, full_width, full_height, media: MediaType::Png, partial: false, exif: Exif::default() }
    }

    fn landscape(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
            let hill = 0.5 + 0.2 * (x * 7.0).sin();
            if y > hill { Rgb([40, 110, 30]) } else { Rgb([120, 170, (255.0 - 120.0 * y) as u8]) }
        })
    }

    fn distance(one: &str, other: &str) -> u32 {
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        (number(one) ^ number(other)).count_ones()
    }

    #[test]
    fn near_duplicates_differ_in_few_bits() {
        let large = facts(&decoded(landscape(900, 600)));
        let small = facts(&decoded(landscape(300, 200)));
        let mirrored = facts(&decoded(image::imageops::flip_vertical(&landscape(900, 600))));
        assert_eq!(large.perceptual_hash.len(), 16);
        assert!(distance(&large.perceptual_hash, &small.perceptual_hash) <= 4);
        assert!(distance(&large.perceptual_hash, &mirrored.perceptual_hash) >= 16);
    }

    #[test]
    fn the_placeholder_keeps_average_colour_and_proportions() {
        let facts = facts(&decoded(RgbImage::from_pixel(300, 100, Rgb([200, 40, 90]))));
        let hash = STANDARD.decode(&facts.thumbhash).unwrap();
        assert!(hash.len() <= 25, "{} bytes", hash.len());
        let (red, green, blue, _) = thumbhash::thumb_hash_to_average_rgba(&hash).unwrap();
        for (found, expected) in [(red, 200.0), (green, 40.0), (blue, 90.0)] {
            assert!((found * 255.0 - expected).abs() < 12.0, "{found} for {expected}");
        }
        assert!(thumbhash::thumb_hash_to_approximate_aspect_ratio(&hash).unwrap() > 1.5);
    }

    #[test]
    fn extreme_shapes_have_facts() {
        for (width, height) in [(1, 150), (2000, 4), (1920, 3), (1, 1)] {
            let facts = facts(&decoded(landscape(width, height)));
            assert_eq!((facts.width, facts.height), (width, height));
        }
    }
}
