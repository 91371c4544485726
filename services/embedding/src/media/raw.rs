//! Tells a camera's raw file from an ordinary TIFF by its first directory. Source: Adobe's TIFF 6.0 and DNG 1.7.

const NEW_SUBFILE_TYPE: u16 = 254;
const PHOTOMETRIC_INTERPRETATION: u16 = 262;
const SUB_IFDS: u16 = 330;
const DNG_VERSION: u16 = 50706;
const COLOR_FILTER_ARRAY: u32 = 32803;

/// The raw format of a file that starts as a TIFF does; `None` for an ordinary TIFF, and when the directory lies
/// beyond the prefix, as cameras never put it.
pub(super) fn camera_format(prefix: &[u8]) -> Option<&'static str> {
    if prefix.get(8..10) == Some(b"CR") {
        return Some("a camera RAW file (CR2)");
    }
    let (mut thumbnail, mut has_sub_images) = (false, false);
    for (tag, value) in first_directory(prefix)? {
        match tag {
            DNG_VERSION => return Some("a camera RAW file (DNG)"),
            PHOTOMETRIC_INTERPRETATION if value == COLOR_FILTER_ARRAY => return Some("a camera RAW file"),
            NEW_SUBFILE_TYPE => thumbnail = value & 1 == 1,
            SUB_IFDS => has_sub_images = true,
            _ => {}
        }
    }
    // Nikon, Sony, Pentax: the main directory is a thumbnail, and the sensor data hangs below it.
    (thumbnail && has_sub_images).then_some("a camera RAW file")
}

/// Tag and first value of each entry of the first directory. A value is right only for entries of one 16 or 32-bit number.
fn first_directory(prefix: &[u8]) -> Option<impl Iterator<Item = (u16, u32)>> {
    let little_endian = prefix.first() == Some(&b'I');
    let long = move |bytes: &[u8]| -> Option<u32> {
        let bytes: [u8; 4] = bytes.try_into().ok()?;
        Some(if little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let short = move |bytes: &[u8]| -> Option<u16> {
        let bytes: [u8; 2] = bytes.try_into().ok()?;
        Some(if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let start = long(prefix.get(4..8)?)? as usize;
    let count = short(prefix.get(start..start.checked_add(2)?)?)?;
    let entries = prefix.get(start + 2..)?.chunks_exact(12).take(usize::from(count));
    Some(entries.filter_map(move |entry| {
        const SHORT: u16 = 3;
        let value = if short(&entry[2..4])? == SHORT { short(&entry[8..10])?.into() } else { long(&entry[8..12])? };
        Some((short(&entry[..2])?, value))
    }))
}
