//! TIFF with a palette, which its decoder refuses: read as gray, whose values are then looked up.
//! Source: Adobe's TIFF 6.0, sections 2 and 5.

use image::{DynamicImage, RgbImage};

const BITS_PER_SAMPLE: u16 = 258;
const PHOTOMETRIC_INTERPRETATION: u16 = 262;
const COLOR_MAP: u16 = 320;
const PALETTE: usize = 3;
const BLACK_IS_ZERO: u8 = 1;

/// The colours of a palette of 256, and the file as one of their numbers in gray; `None` for any other TIFF.
pub(super) fn without_palette(tiff: &[u8]) -> Option<(Vec<u8>, Vec<[u8; 3]>)> {
    let little_endian = tiff.first() == Some(&b'I');
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let bytes = tiff.get(at..at.checked_add(bytes)?)?.iter();
        let join = |number: usize, byte: &u8| (number << 8) | usize::from(*byte);
        Some(if little_endian { bytes.rev().fold(0, join) } else { bytes.fold(0, join) })
    };
    let start = number(4, 4)?;
    let entries = (0..number(start, 2)?).map(|index| start + 2 + index * 12);
    let entry = |tag: u16| entries.clone().find(|at| number(*at, 2) == Some(tag.into()));
    let photometric = entry(PHOTOMETRIC_INTERPRETATION)? + 8;
    let is_of_8_bits = number(entry(BITS_PER_SAMPLE)? + 8, 2)? == 8;
    if number(photometric, 2)? != PALETTE || !is_of_8_bits {
        return None;
    }
    let map = number(entry(COLOR_MAP)? + 8, 4)?;
    // All reds come first, of 16 bits each.
    let color = |index: usize| {
        let channel = |channel: usize| Some((number(map.checked_add((channel * 256 + index) * 2)?, 2)? >> 8) as u8);
        Some([channel(0)?, channel(1)?, channel(2)?])
    };
    let colors = (0..256).map(color).collect::<Option<_>>()?;
    let mut gray = tiff.to_vec();
    gray[if little_endian { photometric } else { photometric + 1 }] = BLACK_IS_ZERO;
    Some((gray, colors))
}

pub(super) fn look_up(numbers: DynamicImage, colors: &[[u8; 3]]) -> DynamicImage {
    let numbers = numbers.into_luma8();
    let rgb = numbers.iter().flat_map(|number| colors[usize::from(*number)]).collect();
    // Three bytes a pixel always fill the image.
    RgbImage::from_raw(numbers.width(), numbers.height(), rgb).unwrap_or_default().into()
}
