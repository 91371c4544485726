//! JPEG, by libjpeg-turbo: at reduced scale when that is enough, CMYK included, and what there is of a file cut short.

mod segments;

use image::{DynamicImage, GrayImage, RgbImage};
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use self::segments::Segments;
use super::{DecodeError, LimitKind, Limits, Stored, Target, color};
use crate::{exif::Exif, media::MediaType};

/// Encoders write about ten. Each passes over the whole picture, so a small file with thousands takes minutes.
const MAX_SCANS: u32 = 100;

pub(super) fn decode(bytes: &[u8], target: Target, limits: &Limits) -> Result<Stored, DecodeError> {
    let segments = Segments::find(bytes);
    let mut decoder = Decompressor::new().map_err(corrupt)?;
    decoder.set_scan_limit(MAX_SCANS).map_err(corrupt)?;
    let bare;
    let (header, bytes) = if let Ok(header) = decoder.read_header(bytes) {
        (header, bytes)
    } else {
        // The library refuses a header over oddities in parts that it doesn't need: try without them.
        bare = segments::without_metadata(bytes);
        (decoder.read_header(&bare).map_err(corrupt)?, bare.as_slice())
    };
    let (full_width, full_height) = (header.width as u32, header.height as u32);
    limits.check_pixels(full_width, full_height)?;
    let scale = scale(&header, target);
    let scaled = header.scaled(scale);
    limits.check(LimitKind::MemoryBytes, memory_bytes(&header, &scaled))?;
    decoder.set_scaling_factor(scale).map_err(corrupt)?;

    let format = pixel_format(header.colorspace, &segments);
    let (raw, partial) = pixels(&mut decoder, bytes, &scaled, format)?;
    let (pixels, icc_profile) = present(raw, (scaled.width as u32, scaled.height as u32), format, &segments);
    let exif = segments.exif.map(Exif::read).unwrap_or_default();
    Ok(Stored { pixels, icc_profile, exif, full_width, full_height, partial })
}

/// The smallest scale that leaves the target's pixels. Only those are used for which the library has fast code.
fn scale(header: &DecompressHeader, target: Target) -> ScalingFactor {
    let Target::ShorterSideAtLeast(least) = target else { return ScalingFactor::ONE };
    if header.is_lossless {
        return ScalingFactor::ONE;
    }
    let shorter = header.width.min(header.height);
    [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF]
        .into_iter()
        .find(|factor| factor.scale(shorter) >= least as usize)
        .unwrap_or(ScalingFactor::ONE)
}

fn memory_bytes(header: &DecompressHeader, scaled: &DecompressHeader) -> u64 {
    let channels = if is_cmyk(header.colorspace) { 4 } else { 3 };
    let output = (scaled.width * scaled.height * channels) as u64;
    // Several passes need all coefficients at once: two bytes each, at full scale.
    let coefficients = if header.is_progressive { (header.width * header.height * channels * 2) as u64 } else { 0 };
    output + coefficients
}

fn is_cmyk(colorspace: Colorspace) -> bool {
    matches!(colorspace, Colorspace::CMYK | Colorspace::YCCK)
}

fn pixel_format(colorspace: Colorspace, segments: &Segments<'_>) -> PixelFormat {
    match colorspace {
        Colorspace::CMYK | Colorspace::YCCK => PixelFormat::CMYK,
        // A profile for gray describes one channel. Without one the library's own copy to three is the fastest.
        Colorspace::Gray if segments.icc_profile.is_some() => PixelFormat::GRAY,
        _ => PixelFormat::RGB,
    }
}

/// The pixels, and whether some are missing.
fn pixels(
    decoder: &mut Decompressor,
    bytes: &[u8],
    scaled: &DecompressHeader,
    format: PixelFormat,
) -> Result<(Vec<u8>, bool), DecodeError> {
    let pitch = scaled.width * format.size();
    let mut pixels = vec![0; pitch * scaled.height];
    let mut damage = |bytes| {
        let pixels = pixels.as_mut_slice();
        let output = Image { pixels, width: scaled.width, pitch, height: scaled.height, format };
        decoder.decompress(bytes, output).map_or_else(Damage::of, |()| Damage::None)
    };
    let outcome = match damage(bytes) {
        // Progressive files have tables between their scans. Cut inside one, the scans before it are still good.
        Damage::Fatal(reason) => match segments::before_cut_segment(bytes).map(damage) {
            None | Some(Damage::Fatal(_)) => Damage::Fatal(reason),
            Some(Damage::None | Damage::Partial) => Damage::Partial,
        },
        outcome => outcome,
    };
    match outcome {
        Damage::None => Ok((pixels, false)),
        Damage::Partial => Ok((pixels, true)),
        Damage::Fatal(error) => Err(corrupt(error)),
    }
}

/// Pixels of a kind that profiles are made for, and the profile that is still to be applied.
fn present(
    raw: Vec<u8>,
    (width, height): (u32, u32),
    format: PixelFormat,
    segments: &Segments<'_>,
) -> (DynamicImage, Option<Vec<u8>>) {
    let profile = segments.icc_profile.as_deref();
    // The buffer was made for this size, so no `default` (an empty image) ever shows.
    let rgb = |raw| RgbImage::from_raw(width, height, raw).unwrap_or_default().into();
    match format {
        PixelFormat::CMYK => (rgb(color::cmyk_to_srgb(inks(raw, segments.has_adobe_marker), profile)), None),
        PixelFormat::GRAY => {
            (GrayImage::from_raw(width, height, raw).unwrap_or_default().into(), segments.icc_profile.clone())
        }
        _ => (rgb(raw), segments.icc_profile.clone()),
    }
}

/// Makes stored CMYK values amounts of ink.
///
/// Adobe stores the complement and says so by its marker, whether the colours were transformed (YCCK) or not. Without the
/// marker both are found: programs that make pages store ink, others keep Adobe's way. The black channel tells, because
/// pictures have little of it: read the wrong way round, it would cover most of the page.
fn inks(mut stored: Vec<u8>, has_adobe_marker: bool) -> Vec<u8> {
    let complement = has_adobe_marker || {
        let black: u64 = stored.iter().skip(3).step_by(4).map(|value| u64::from(*value)).sum();
        black * 2 > 255 * (stored.len() as u64 / 4)
    };
    if complement {
        for value in &mut stored {
            *value = 255 - *value;
        }
    }
    stored
}

/// What decoding did to the pixels. The library fills in what it can't read, so short of a fatal fault there are some.
enum Damage {
    None,
    Partial,
    Fatal(turbojpeg::Error),
}

impl Damage {
    /// By libjpeg's messages: the binding doesn't hand on its error codes.
    fn of(error: turbojpeg::Error) -> Self {
        const HARMLESS: [&str; 4] =
            ["extraneous bytes before marker", "JFIF revision", "Adobe color transform", "bad ICC marker"];
        const PARTIAL: [&str; 4] = [
            "Premature end of JPEG file",
            "Corrupt JPEG data",
            "Inconsistent progression sequence",
            "Invalid SOS parameters for sequential JPEG",
        ];
        let turbojpeg::Error::TurboJpegError(message) = &error else { return Self::Fatal(error) };
        let says = |parts: [&str; 4]| parts.iter().any(|part| message.contains(part));
        if says(HARMLESS) {
            Self::None
        } else if says(PARTIAL) {
            Self::Partial
        } else {
            Self::Fatal(error)
        }
    }
}

fn corrupt(error: turbojpeg::Error) -> DecodeError {
    let reason = match error {
        turbojpeg::Error::TurboJpegError(message) => message,
        error => error.to_string(),
    };
    DecodeError::corrupt(MediaType::Jpeg, &reason)
}
