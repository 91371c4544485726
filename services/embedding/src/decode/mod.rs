//! From an image file's bytes to upright sRGB pixels, within limits that are checked before memory is taken.
//! Every fault is a property of the bytes: trying again can't help.

mod alpha;
mod avif;
mod color;
mod jpeg;
mod orient;
mod palette;
mod raster;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, RgbImage};

use crate::{
    exif::Exif,
    media::{self, MediaType, UnsupportedType},
};

pub use alpha::BACKGROUND;

/// What is not decoded because it would take too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the file.
    pub max_bytes: u64,
    /// Width × height, as the file's header declares them.
    pub max_pixels: u64,
    /// Of memory while decoding one image.
    pub max_alloc_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 100 << 20, max_pixels: 100_000_000, max_alloc_bytes: 1 << 30 }
    }
}

/// How much detail is needed. Only large JPEGs, which can be decoded at reduced scale, make a difference of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Full,
    /// Pixels of the shorter side; a smaller original stays as it is.
    ShorterSideAtLeast(u32),
}

/// Which limit an image is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    FileBytes,
    Pixels,
    MemoryBytes,
}

impl std::fmt::Display for LimitKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::FileBytes => "bytes",
            Self::Pixels => "pixels",
            Self::MemoryBytes => "bytes of memory",
        })
    }
}

/// Why there are no pixels. All of these are permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    UnsupportedType(#[from] UnsupportedType),
    #[error("the image is too large: it needs {found} {kind}, at most {limit} are allowed; send a smaller one")]
    TooLarge { kind: LimitKind, found: u64, limit: u64 },
    #[error("the {media} image is damaged and cannot be decoded ({reason}); send an intact copy")]
    Corrupt { media: MediaType, reason: String },
}

impl DecodeError {
    fn corrupt(media: MediaType, reason: &dyn ToString) -> Self {
        // Decoders quote the file; a reason is a sentence, not a dump.
        Self::Corrupt { media, reason: reason.to_string().chars().take(200).collect() }
    }
}

/// An image as it is meant to be seen.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Upright, sRGB, on [`BACKGROUND`] where it was transparent. May be smaller than the original, see [`Target`].
    pub rgb: RgbImage,
    /// Pixels of the original, upright.
    pub full_width: u32,
    pub full_height: u32,
    pub media: MediaType,
    /// The file is cut off or damaged inside; what could be decoded is there, the rest is grey.
    pub partial: bool,
    pub exif: Exif,
}

/// What the decoder of a format hands over: pixels as stored.
struct Stored {
    /// Of any kind that `image` knows.
    pixels: DynamicImage,
    /// That the pixels are still in.
    icc_profile: Option<Vec<u8>>,
    exif: Exif,
    full_width: u32,
    full_height: u32,
    partial: bool,
}

/// Decodes the first frame of an image file.
pub fn decode(bytes: &[u8], target: Target, limits: &Limits) -> Result<Decoded, DecodeError> {
    limits.check(LimitKind::FileBytes, bytes.len() as u64)?;
    let media = media::sniff(bytes)?;
    // A decoder that panics on some bytes will do so every time; as a typed, permanent error it ends the task.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let stored = match media {
            MediaType::Jpeg => jpeg::decode(bytes, target, limits),
            MediaType::Avif => avif::decode(bytes, limits),
            MediaType::Png | MediaType::Webp | MediaType::Gif | MediaType::Bmp | MediaType::Tiff => {
                raster::decode(bytes, media, limits)
            }
        };
        let stored = stored?;
        // Some formats can say so, and no model can look at it.
        if stored.full_width == 0 || stored.full_height == 0 {
            return Err(DecodeError::corrupt(media, &"it has no pixels"));
        }
        Ok(stored.present(media))
    }));
    decoded.unwrap_or_else(|_| Err(DecodeError::corrupt(media, &"the decoder gave up")))
}

impl Stored {
    /// Colours first, since a profile describes the stored values; then transparency; turning last, on the fewest bytes.
    fn present(self, media: MediaType) -> Decoded {
        let orientation = self.exif.orientation;
        let srgb = color::to_srgb(self.pixels, self.icc_profile.as_deref());
        let rgb = orient::upright(alpha::flatten(srgb), orientation);
        let (full_width, full_height) = if orient::swaps_sides(orientation) {
            (self.full_height, self.full_width)
        } else {
            (self.full_width, self.full_height)
        };
        Decoded { rgb, full_width, full_height, media, partial: self.partial, exif: self.exif }
    }
}

impl Limits {
    fn check(&self, kind: LimitKind, found: u64) -> Result<(), DecodeError> {
        let limit = match kind {
            LimitKind::FileBytes => self.max_bytes,
            LimitKind::Pixels => self.max_pixels,
            LimitKind::MemoryBytes => self.max_alloc_bytes,
        };
        if found > limit { Err(DecodeError::TooLarge { kind, found, limit }) } else { Ok(()) }
    }

    /// Checks what a header declares, before anything is allocated for it.
    fn check_pixels(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        self.check(LimitKind::Pixels, u64::from(width) * u64::from(height))
    }
}
