//! What an AV1 bitstream declares before anything is decoded: libaom has no limits of its own.
//! Source: AV1 Bitstream & Decoding Process Specification, 5.3 and 5.5.1.

use super::boxes::Reader;

const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// A still picture is one frame, or up to four layers. Each can hold a frame's memory.
const MAX_FRAMES: u32 = 8;

/// The largest width and height that any sequence header allows its frames; `None` when the bitstream is no picture's.
pub(super) fn largest_frame(bitstream: &[u8]) -> Option<(u32, u32)> {
    let (mut largest, mut frames) = (None, 0);
    let mut reader = Reader(bitstream);
    while !reader.0.is_empty() {
        let (kind, content) = unit(&mut reader)?;
        match kind {
            SEQUENCE_HEADER => {
                let (width, height) = frame_size(content)?;
                let (most_width, most_height) = largest.unwrap_or_default();
                largest = Some((width.max(most_width), height.max(most_height)));
            }
            FRAME_HEADER | FRAME => frames += 1,
            _ => {}
        }
    }
    largest.filter(|_| (1..=MAX_FRAMES).contains(&frames))
}

/// Type and content of the next unit.
fn unit<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let header = reader.u8()?;
    let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
    if has_extension {
        reader.u8()?;
    }
    let size = if has_size { leb128(reader)? } else { reader.0.len() };
    Some(((header >> 3) & 0xf, reader.bytes(size)?))
}

fn leb128(reader: &mut Reader<'_>) -> Option<usize> {
    let mut number = 0;
    for shift in (0..56).step_by(7) {
        let byte = reader.u8()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn frame_size(sequence_header: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits { bytes: sequence_header, at: 0 };
    bits.skip(4); // profile, still picture
    if bits.flag()? {
        bits.skip(5); // level
    } else {
        skip_timing_and_levels(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
    Some((bits.number(width_bits)? + 1, bits.number(height_bits)? + 1))
}

fn skip_timing_and_levels(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64); // ticks, time scale
        if bits.flag()? {
            skip_variable_length(bits)?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? as usize + 1);
            bits.skip(42); // ticks, lengths of times
        }
    }
    let has_display_delay = bits.flag()?;
    for _ in 0..=bits.number(5)? {
        bits.skip(12); // operating point
        if bits.number(5)? > 7 {
            bits.skip(1); // tier
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(delay_bits * 2 + 1);
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4);
        }
    }
    Some(())
}

/// As many zeros, a one, as many bits.
fn skip_variable_length(bits: &mut Bits<'_>) -> Option<()> {
    for zeros in 0..32 {
        if bits.flag()? {
            bits.skip(zeros);
            return Some(());
        }
    }
    None
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Of at most 31 bits.
    fn number(&mut self, bits: u32) -> Option<u32> {
        (0..bits).try_fold(0, |number, _| Some((number << 1) | u32::from(self.flag()?)))
    }
}
