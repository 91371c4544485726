//! AVIF: the container by our own reader, the AV1 inside by libaom.
//! Sources: the AV1 Image File Format 1.1 (AOM), MIAF (ISO/IEC 23000-22), HEIF (ISO/IEC 23008-12).

mod bitstream;
mod boxes;
mod color;
mod frame;
mod items;
mod planes;

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage, metadata::Orientation};

use self::{
    boxes::Reader,
    color::{CodePoints, Conversion},
    frame::Decoder,
    items::Items,
    planes::Canvas,
};
use super::{DecodeError, LimitKind, Limits, Stored};
use crate::{
    exif::Exif,
    media::{MediaType, UnsupportedType},
};

/// What libaom takes for a pixel while it decodes: planes, their borders, and what it keeps of each block.
/// Measured on 12 megapixels: 14 with 8 bits (4:2:0), 19 with 12 bits (4:4:4); film grain takes a second set of planes.
const DECODER_BYTES_PER_PIXEL: u64 = 24;

/// A still picture as the file describes it, nothing decoded yet.
struct Picture {
    width: u32,
    height: u32,
    colors: Vec<u8>,
    alpha: Option<Vec<u8>>,
    /// Colours are stored multiplied by alpha.
    premultiplied: bool,
    icc_profile: Option<Vec<u8>>,
    code_points: Option<CodePoints>,
    exif: Exif,
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored, DecodeError> {
    let picture = Picture::read(bytes, limits)?;
    let (pixels, icc_profile) = picture.pixels()?;
    let (full_width, full_height) = (picture.width, picture.height);
    Ok(Stored { pixels, icc_profile, exif: picture.exif, full_width, full_height, partial: false })
}

impl Picture {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let items = Items::read(bytes).ok_or_else(|| corrupt("it has no description of pictures"))?;
        let primary = items.primary().ok_or_else(|| rare("without a main picture"))?;
        match items.kind(primary) {
            Some(kind) if &kind == b"av01" => {}
            Some(kind) if &kind == b"grid" => return Err(rare("a grid of tiles")),
            _ => return Err(rare("its main picture is not coded as AV1")),
        }
        let properties = items.properties(primary);
        let property = |kind: &[u8; 4]| properties.iter().find(|(found, _)| found == kind).map(|(_, content)| *content);
        let (width, height) = property(b"ispe").and_then(size).ok_or_else(|| corrupt("it has no size"))?;
        limits.check_pixels(width, height)?;
        let cut_off = || corrupt("a part is missing");
        let colors = items.content(primary).ok_or_else(cut_off)?;
        let alpha_item = alpha_of(&items, primary);
        let alpha = alpha_item.map(|item| items.content(item).ok_or_else(cut_off)).transpose()?;
        for bitstream in [Some(&colors), alpha.as_ref()].into_iter().flatten() {
            check_bitstream(bitstream, (width, height), limits)?;
        }
        let colr = |kinds: &[&[u8; 4]]| {
            properties.iter().filter(|(found, _)| found == b"colr").find_map(|(_, content)| {
                let (kind, rest) = content.split_first_chunk::<4>()?;
                kinds.contains(&kind).then_some(rest)
            })
        };
        Ok(Self {
            width,
            height,
            colors,
            alpha,
            premultiplied: alpha_item.is_some_and(|alpha| items.refers(primary, *b"prem", alpha)),
            icc_profile: colr(&[b"prof", b"rICC"]).map(<[u8]>::to_vec),
            code_points: colr(&[b"nclx"]).and_then(code_points),
            // Of what EXIF says only the orientation is the file's own business: MIAF, 7.3.6.
            exif: Exif { orientation: orientation(&properties), ..exif(&items, primary) },
        })
    }

    /// With the ICC profile that they are in.
    fn pixels(&self) -> Result<(DynamicImage, Option<Vec<u8>>), DecodeError> {
        let (mut canvas, code_points) = self.colors()?;
        if let Some(alpha) = &self.alpha {
            let mut decoder = Decoder::new().map_err(corrupt)?;
            canvas.write_alpha(&decoder.decode(alpha).map_err(corrupt)?).map_err(corrupt)?;
            if self.premultiplied {
                canvas.divide_by_alpha();
            }
        }
        let profile = self.icc_profile.clone().or_else(|| code_points.profile());
        let (width, height, pixels) = (self.width, self.height, canvas.pixels);
        let image = match canvas.channels {
            1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
            2 => GrayAlphaImage::from_raw(width, height, pixels).map(DynamicImage::from),
            3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
            _ => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::from),
        };
        // The canvas was made for this size.
        Ok((image.unwrap_or_default(), profile))
    }

    /// With room for the alpha that belongs to them.
    fn colors(&self) -> Result<(Canvas, CodePoints), DecodeError> {
        let mut decoder = Decoder::new().map_err(corrupt)?;
        let frame = decoder.decode(&self.colors).map_err(corrupt)?;
        let channels = if frame.is_gray() { 1 } else { 3 } + usize::from(self.alpha.is_some());
        let (width, height) = (self.width as usize, self.height as usize);
        let mut canvas = Canvas { width, height, channels, pixels: vec![0; width * height * channels] };
        let code_points = self.code_points.unwrap_or_else(|| frame.code_points());
        let CodePoints { matrix, full_range, .. } = code_points;
        let conversion = if frame.is_gray() {
            Conversion::gray(full_range, frame.depth())
        } else {
            Conversion::new(matrix, full_range, frame.depth())
                .ok_or_else(|| rare(&format!("its colours are of matrix {matrix}")))?
        };
        canvas.write_colors(&frame, &conversion).map_err(corrupt)?;
        Ok((canvas, code_points))
    }
}

/// Frames can be larger than the file says, and are what memory is taken for.
fn check_bitstream(bitstream: &[u8], size: (u32, u32), limits: &Limits) -> Result<(), DecodeError> {
    let largest = bitstream::largest_frame(bitstream).ok_or_else(|| corrupt("it is no still picture"))?;
    let (width, height) = (size.0.max(largest.0), size.1.max(largest.1));
    limits.check_pixels(width, height)?;
    let bytes_per_pixel = DECODER_BYTES_PER_PIXEL + 4;
    limits.check(LimitKind::MemoryBytes, u64::from(width) * u64::from(height) * bytes_per_pixel)
}

fn alpha_of(items: &Items<'_>, primary: u32) -> Option<u32> {
    const NAMES: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0"];
    items.referring_to(primary, *b"auxl").find(|item| {
        let properties = items.properties(*item);
        items.kind(*item).is_some_and(|kind| &kind == b"av01")
            && properties.iter().any(|(kind, content)| {
                kind == b"auxC"
                    && content.get(4..).is_some_and(|name| NAMES.iter().any(|alpha| name.starts_with(alpha)))
            })
    })
}

/// When and where; broken attributes are as if absent.
fn exif(items: &Items<'_>, primary: u32) -> Exif {
    let item =
        items.referring_to(primary, *b"cdsc").find(|item| items.kind(*item).is_some_and(|kind| &kind == b"Exif"));
    let Some(content) = item.and_then(|item| items.content(item)) else { return Exif::default() };
    let mut reader = Reader(&content);
    // What precedes the TIFF structure, most often nothing or "Exif".
    let start = reader.u32().map_or(usize::MAX, |start| start as usize);
    reader.bytes(start).map_or_else(Exif::default, |_| Exif::read(reader.0))
}

fn size(ispe: &[u8]) -> Option<(u32, u32)> {
    let mut reader = Reader(ispe);
    reader.version()?;
    Some((reader.u32()?, reader.u32()?))
}

fn code_points(nclx: &[u8]) -> Option<CodePoints> {
    let mut reader = Reader(nclx);
    // Code points above 255 are reserved.
    let mut number = || reader.u16().map(|number| u8::try_from(number).unwrap_or(u8::MAX));
    let (primaries, transfer, matrix) = (number()?, number()?, number()?);
    Some(CodePoints { primaries, transfer, matrix, full_range: reader.u8()? & 0x80 != 0 })
}

/// Rotations (`irot`) and mirrors (`imir`) one after the other, as one of EXIF's eight.
fn orientation(properties: &[([u8; 4], &[u8])]) -> Orientation {
    // First quarter turns clockwise, then perhaps a mirror from left to right.
    let (mut turns, mut mirrored) = (0, false);
    for (kind, content) in properties {
        let value = content.first().copied().unwrap_or_default();
        let clockwise = match kind {
            b"irot" => 4 - (value & 3),
            // Top and bottom change places: the same as left and right, and half a turn.
            b"imir" if value & 1 == 0 => 2,
            b"imir" => 0,
            _ => continue,
        };
        mirrored ^= kind == b"imir";
        turns = (turns + if mirrored { 4 - clockwise } else { clockwise }) % 4;
    }
    match (turns, mirrored) {
        (1, false) => Orientation::Rotate90,
        (2, false) => Orientation::Rotate180,
        (3, false) => Orientation::Rotate270,
        (0, true) => Orientation::FlipHorizontal,
        (1, true) => Orientation::Rotate90FlipH,
        (2, true) => Orientation::FlipVertical,
        (_, true) => Orientation::Rotate270FlipH,
        _ => Orientation::NoTransforms,
    }
}

fn corrupt(reason: impl Into<String>) -> DecodeError {
    DecodeError::corrupt(MediaType::Avif, &reason.into())
}

fn rare(kind: &str) -> DecodeError {
    UnsupportedType::new(format!("a rare kind of AVIF ({kind})")).into()
}
