//! Signatures of file formats. Sources: the WHATWG MIME Sniffing standard, ISO/IEC 14496-12 (`ftyp` brands) and the
//! formats' own specifications.

use super::MediaType;

/// Windows' bitmap headers by their length; two letters alone ("BM") would match texts.
const BMP_HEADER_BYTES: [u32; 7] = [12, 40, 52, 56, 64, 108, 124];

pub(super) fn decodable(prefix: &[u8]) -> Option<MediaType> {
    match prefix {
        [0xff, 0xd8, 0xff, ..] => Some(MediaType::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(MediaType::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(MediaType::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(MediaType::Webp),
        // 42 is TIFF, 43 is BigTIFF.
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(MediaType::Tiff),
        [b'B', b'M', rest @ ..] => {
            let header = rest.get(12..16)?.try_into().ok().map(u32::from_le_bytes)?;
            BMP_HEADER_BYTES.contains(&header).then_some(MediaType::Bmp)
        }
        _ => (iso_media(prefix)? == AVIF).then_some(MediaType::Avif),
    }
}

/// What a file that can't be decoded looks like, with its article.
pub(super) fn name(prefix: &[u8]) -> &'static str {
    if prefix.is_empty() {
        return "an empty file";
    }
    if let Some(name) = iso_media(prefix) {
        return name;
    }
    if let Some((_, _, name)) = SIGNATURES.iter().find(|(offset, magic, _)| at(prefix, *offset, magic)) {
        return name;
    }
    text(prefix).unwrap_or("a file of an unknown format")
}

fn at(prefix: &[u8], offset: usize, magic: &[u8]) -> bool {
    prefix.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

/// Offset, bytes, name.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"8BPS", "a Photoshop (PSD) document"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"II\xbc", "a JPEG XR image"),
    (0, b"\0\0\x01\0", "an icon (ICO)"),
    (0, b"\0\0\x02\0", "a cursor (CUR)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"qoif", "a QOI image"),
    (0, b"DDS ", "a DirectDraw (DDS) texture"),
    (0, b"gimp xcf", "a GIMP (XCF) document"),
    (0, b"FUJIFILMCCD-RAW", "a camera RAW file (RAF)"),
    (0, b"IIRO", "a camera RAW file (ORF)"),
    (0, b"IIRS", "a camera RAW file (ORF)"),
    (0, b"MMOR", "a camera RAW file (ORF)"),
    (0, b"IIU\0", "a camera RAW file (RW2)"),
    (6, b"HEAPCCDR", "a camera RAW file (CRW)"),
    (0, b"FOVb", "a camera RAW file (X3F)"),
    (0, b"\0MRM", "a camera RAW file (MRW)"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (8, b"AVI ", "an AVI video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\0\0\x01\xba", "an MPEG video"),
    (0, b"\0\0\x01\xb3", "an MPEG video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media (ASF) video"),
    (4, b"moov", "a QuickTime video"),
    (4, b"mdat", "a QuickTime video"),
    (0, b"OggS", "an Ogg audio or video file"),
    (8, b"WAVE", "a WAV audio file"),
    (0, b"ID3", "an MP3 audio file"),
    (0, b"fLaC", "a FLAC audio file"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
];

const AVIF: &str = "an AVIF image";

/// ISO base media: HEIF, AVIF, camera files and videos share one container and differ by brand.
fn iso_media(prefix: &[u8]) -> Option<&'static str> {
    if !at(prefix, 4, b"ftyp") {
        return None;
    }
    let box_bytes = u32::from_be_bytes(prefix[..4].try_into().ok()?) as usize;
    let mut brands = prefix.get(8..box_bytes.min(prefix.len()))?.chunks_exact(4);
    let major = brands.next()?;
    // `mif1` only says that it is a still picture; the compatible brands say of which codec.
    let mut of_codec = std::iter::once(major).chain(brands).filter_map(|brand| match brand {
        b"avif" | b"avis" => Some(AVIF),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some("a HEIC image"),
        b"crx " => Some("a camera RAW file (CR3)"),
        _ => None,
    });
    Some(of_codec.next().unwrap_or(match major {
        b"mif1" | b"mif2" | b"msf1" => "a HEIF image",
        b"qt  " => "a QuickTime video",
        b"M4A " | b"M4B " => "an MPEG-4 audio file",
        _ => "an MP4 video",
    }))
}

fn text(prefix: &[u8]) -> Option<&'static str> {
    if prefix.starts_with(b"\xff\xfe") || prefix.starts_with(b"\xfe\xff") {
        return Some("a text file");
    }
    // The prefix may end inside a character.
    let text = match std::str::from_utf8(prefix) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&prefix[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|character| character.is_control() && !character.is_ascii_whitespace()) {
        return None;
    }
    let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    Some(match () {
        () if lower.starts_with('<') && lower.contains("<svg") => "an SVG drawing",
        () if lower.starts_with("<!doctype html") || lower.starts_with("<html") => "a web page",
        () if lower.starts_with("<?xml") => "an XML document",
        () if lower.starts_with('{') || lower.starts_with('[') => "a JSON document",
        () => "a text file",
    })
}
