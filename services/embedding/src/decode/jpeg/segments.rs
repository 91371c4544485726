//! The parts of a JPEG before its pixels: EXIF, colour profile, Adobe's marker.
//! Sources: ITU-T T.81 (annex B), ICC.1:2022 (annex B.4), Adobe technical note 5116.

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
const APP15: u8 = 0xef;
const COMMENT: u8 = 0xfe;

#[derive(Debug, Default)]
pub(super) struct Segments<'a> {
    /// Without its "Exif" prefix.
    pub(super) exif: Option<&'a [u8]>,
    /// Whole, put together from its parts.
    pub(super) icc_profile: Option<Vec<u8>>,
    pub(super) has_adobe_marker: bool,
}

/// One marker with its content, up to and without the first scan.
struct Segment<'a> {
    marker: u8,
    content: &'a [u8],
}

impl<'a> Segments<'a> {
    pub(super) fn find(bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut profile_parts: Vec<(u8, u8, &[u8])> = Vec::new();
        for segment in walk(bytes) {
            match segment.marker {
                APP1 => found.exif = found.exif.or(segment.content.strip_prefix(b"Exif\0\0")),
                APP2 => {
                    if let Some([number, count, part @ ..]) = segment.content.strip_prefix(b"ICC_PROFILE\0") {
                        profile_parts.push((*number, *count, part));
                    }
                }
                APP14 => found.has_adobe_marker |= segment.is_adobe(),
                _ => {}
            }
        }
        found.icc_profile = join(profile_parts);
        found
    }
}

impl Segment<'_> {
    fn is_adobe(&self) -> bool {
        self.content.len() >= 12 && self.content.starts_with(b"Adobe")
    }

    /// Whether the pixels can't be decoded rightly without it. Adobe's marker tells YCCK from CMYK and RGB from YCbCr.
    fn is_needed(&self) -> bool {
        const KNOWN_TRANSFORMS: std::ops::RangeInclusive<u8> = 0..=2;
        match self.marker {
            APP14 => self.is_adobe() && KNOWN_TRANSFORMS.contains(&self.content[11]),
            APP0..=APP15 | COMMENT => false,
            _ => true,
        }
    }
}

/// Parts are numbered from 1. A profile that lacks one is no profile.
fn join(mut parts: Vec<(u8, u8, &[u8])>) -> Option<Vec<u8>> {
    parts.sort_by_key(|(number, ..)| *number);
    let count = parts.first()?.1;
    let complete = parts.len() == usize::from(count)
        && parts.iter().zip(1..).all(|((number, of, _), expected)| *number == expected && *of == count);
    complete.then(|| parts.iter().flat_map(|(.., part)| *part).copied().collect())
}

/// The same image without comments and application data, and without stray bytes between segments.
pub(super) fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    let mut bare = Vec::with_capacity(bytes.len());
    bare.extend([0xff, 0xd8]);
    let mut walk = walk(bytes);
    for segment in walk.by_ref().filter(Segment::is_needed) {
        bare.extend([0xff, segment.marker]);
        bare.extend(((segment.content.len() + 2) as u16).to_be_bytes());
        bare.extend(segment.content);
    }
    bare.extend(walk.rest);
    bare
}

/// What comes before the file's last segment, when that promises more than there is.
pub(super) fn before_cut_segment(bytes: &[u8]) -> Option<&[u8]> {
    // A byte after 0xff is data when it is 0, a restart when it is 0xd0 to 0xd7; from 0xc0 on the others have a length.
    let is_marker = |pair: &[u8]| pair[0] == 0xff && matches!(pair[1], 0xc0..=0xcf | START_OF_SCAN..=COMMENT);
    let start = bytes.windows(2).rposition(is_marker)?;
    let length = bytes
        .get(start + 2..start + 4)
        .map_or(usize::MAX, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    (bytes.len() - start - 2 < length).then_some(&bytes[..start])
}

fn walk(bytes: &[u8]) -> Walk<'_> {
    Walk { rest: bytes.get(2..).unwrap_or_default() }
}

/// Stops before the first scan, or where there is no whole segment any more; `rest` is what follows.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Walk<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            // A marker is the first byte after 0xff that is neither 0xff (filler) nor 0 (data).
            let start = self.rest.iter().position(|byte| *byte == 0xff)?;
            let skipped = self.rest[start..].iter().position(|byte| *byte != 0xff)?;
            let marker = self.rest[start + skipped];
            let after = &self.rest[start + skipped + 1..];
            match marker {
                START_OF_SCAN | END_OF_IMAGE => return None,
                // These have no content: restart markers, a second start, TEM.
                0x00 | 0x01 | 0xd0..=0xd8 => self.rest = after,
                _ => {
                    let length = usize::from(u16::from_be_bytes(after.get(..2)?.try_into().ok()?));
                    let content = after.get(2..length)?;
                    self.rest = &after[length..];
                    return Some(Segment { marker, content });
                }
            }
        }
    }
}
