//! Colours: from what an embedded ICC profile describes, or from plain CMYK, to sRGB.

use image::{DynamicImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, ToneReprCurve, TransformOptions};

use super::alpha::shrink_to_rgb;

/// The same image in sRGB, 8 bits a channel, gray and transparent kinds included.
/// Without a profile the values are sRGB already; so they are taken when the profile is broken or for another kind.
pub(super) fn to_srgb(image: DynamicImage, icc_profile: Option<&[u8]>) -> DynamicImage {
    let Some(profile) = icc_profile.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok()) else {
        return image;
    };
    match profile.color_space {
        DataColorSpace::Rgb if is_srgb(&profile) => image,
        DataColorSpace::Rgb if image.color().has_color() => from_profile(image, &profile),
        DataColorSpace::Gray if !image.color().has_color() => from_profile(image, &profile),
        _ => image,
    }
}

/// Ink values (0 is none, 255 is full), four bytes a pixel, as RGB bytes.
pub(super) fn cmyk_to_srgb(inks: Vec<u8>, icc_profile: Option<&[u8]>) -> Vec<u8> {
    let profile = icc_profile
        .and_then(|bytes| ColorProfile::new_from_slice(bytes).ok())
        .filter(|profile| profile.color_space == DataColorSpace::Cmyk);
    // CMYK takes the place of RGBA in the layout: four channels.
    profile.and_then(|profile| convert(&inks, &profile, Layout::Rgba, Layout::Rgb)).unwrap_or_else(|| {
        shrink_to_rgb(inks, |[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| {
                let (light, rest) = (255 - u32::from(ink), 255 - u32::from(black));
                ((light * rest + 127) / 255) as u8
            })
        })
    })
}

fn from_profile(image: DynamicImage, profile: &ColorProfile) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let (has_alpha, has_color) = (image.color().has_alpha(), image.color().has_color());
    let image = match (has_color, has_alpha) {
        (true, false) => DynamicImage::ImageRgb8(image.into_rgb8()),
        (true, true) => DynamicImage::ImageRgba8(image.into_rgba8()),
        (false, false) => DynamicImage::ImageLuma8(image.into_luma8()),
        (false, true) => DynamicImage::ImageLumaA8(image.into_luma_alpha8()),
    };
    let source = match (has_color, has_alpha) {
        (true, false) => Layout::Rgb,
        (true, true) => Layout::Rgba,
        (false, false) => Layout::Gray,
        (false, true) => Layout::GrayAlpha,
    };
    let converted = if has_alpha {
        convert(image.as_bytes(), profile, source, Layout::Rgba)
            .and_then(|rgba| RgbaImage::from_raw(width, height, rgba))
            .map(DynamicImage::ImageRgba8)
    } else {
        convert(image.as_bytes(), profile, source, Layout::Rgb)
            .and_then(|rgb| RgbImage::from_raw(width, height, rgb))
            .map(DynamicImage::ImageRgb8)
    };
    converted.unwrap_or(image)
}

/// `None` when the profile lacks what a conversion needs.
fn convert(pixels: &[u8], profile: &ColorProfile, from: Layout, to: Layout) -> Option<Vec<u8>> {
    let transform =
        profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default()).ok()?;
    let mut converted = vec![0; pixels.len() / from.channels() * to.channels()];
    transform.transform(pixels, &mut converted).ok()?;
    Some(converted)
}

/// Most profiles are sRGB in other words; to convert those would cost time and a rounding.
fn is_srgb(profile: &ColorProfile) -> bool {
    const TOLERANCE: f64 = 0.002;
    let srgb = ColorProfile::new_srgb();
    let (ours, theirs) = (srgb.colorant_matrix(), profile.colorant_matrix());
    let same_primaries = ours.v.iter().flatten().zip(theirs.v.iter().flatten()).all(|(a, b)| (a - b).abs() < TOLERANCE);
    same_primaries
        && profile.is_matrix_shaper()
        && profile.lut_a_to_b_perceptual.is_none()
        && [&profile.red_trc, &profile.green_trc, &profile.blue_trc]
            .into_iter()
            .all(|curve| curve.as_ref().is_some_and(is_srgb_curve))
}

fn is_srgb_curve(curve: &ToneReprCurve) -> bool {
    const TOLERANCE: f64 = 0.003;
    let linear = |value: f64| {
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let same = |value: f64, found: f64| (linear(value) - found).abs() < TOLERANCE;
    match curve {
        ToneReprCurve::Lut(table) if table.len() > 16 => {
            let last = (table.len() - 1) as f64;
            table.iter().enumerate().all(|(index, found)| same(index as f64 / last, f64::from(*found) / 65535.0))
        }
        // ICC's function type 3: gamma, a, b, c, d.
        ToneReprCurve::Parametric(numbers) => {
            let srgb = [2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045];
            numbers.len() >= 5 && numbers.iter().zip(srgb).all(|(a, b)| (f64::from(*a) - b).abs() < TOLERANCE)
        }
        ToneReprCurve::Lut(_) => false,
    }
}
