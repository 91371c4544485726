//! What kind of file some bytes are. Only the bytes are asked: names and content types are claims.
//! What can't be decoded is named, so that a refusal tells the sender what the file is.

mod raw;
mod signatures;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

/// How many leading bytes of a file [`sniff`] looks at; with fewer, a text or a camera's raw file may go unnamed.
pub const SNIFF_BYTES: usize = 4096;

/// The formats that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    Jpeg,
    Png,
    Webp,
    Avif,
    Gif,
    Bmp,
    Tiff,
}

impl MediaType {
    /// The registered media type, as in a Content-Type header.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Avif => "image/avif",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }

    /// The usual file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Avif => "avif",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }
}

/// The name that people use.
impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Avif => "AVIF",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        })
    }
}

/// A file that isn't decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this looks like {looks_like}, which cannot be read; send a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF image")]
pub struct UnsupportedType {
    /// For people, with its article: "an SVG drawing".
    pub looks_like: Cow<'static, str>,
}

impl UnsupportedType {
    pub fn new(looks_like: impl Into<Cow<'static, str>>) -> Self {
        Self { looks_like: looks_like.into() }
    }
}

/// The format of a file that starts with these bytes ([`SNIFF_BYTES`] of them, or the whole file).
pub fn sniff(prefix: &[u8]) -> Result<MediaType, UnsupportedType> {
    let prefix = &prefix[..prefix.len().min(SNIFF_BYTES)];
    match signatures::decodable(prefix) {
        // Cameras wrap their sensor data into TIFF; what a TIFF decoder finds there is at best a thumbnail.
        Some(MediaType::Tiff) => match raw::camera_format(prefix) {
            Some(looks_like) => Err(UnsupportedType::new(looks_like)),
            None => Ok(MediaType::Tiff),
        },
        Some(media) => Ok(media),
        None => Err(UnsupportedType::new(signatures::name(prefix))),
    }
}
