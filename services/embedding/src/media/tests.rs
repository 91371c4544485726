#![allow(clippy::unwrap_used)]

use super::*;

fn refusal(bytes: &[u8]) -> String {
    sniff(bytes).unwrap_err().looks_like.into_owned()
}

fn tiff(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn the_type_comes_from_the_bytes() {
    assert_eq!(sniff(b"\xff\xd8\xff\xe0"), Ok(MediaType::Jpeg));
    assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Ok(MediaType::Png));
    assert_eq!(sniff(b"GIF89a\x01\0"), Ok(MediaType::Gif));
    assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Ok(MediaType::Webp));
    assert_eq!(sniff(b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), Ok(MediaType::Bmp));
    assert_eq!(sniff(b"\0\0\0\x1cftypavif\0\0\0\0mif1miafavif"), Ok(MediaType::Avif));
    assert_eq!(sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"), Ok(MediaType::Avif));
    assert_eq!(sniff(&tiff(&[(256, 4, 10)])), Ok(MediaType::Tiff));
    assert_eq!(sniff(b"MM\0\x2a\0\0\0\x08\0\0"), Ok(MediaType::Tiff));
}

#[test]
fn what_cannot_be_read_is_named() {
    assert_eq!(refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "a HEIC image");
    assert_eq!(refusal(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), "a HEIC image");
    assert_eq!(refusal(b"\0\0\0\x18ftypisom\0\0\0\0isommp42"), "an MP4 video");
    assert_eq!(refusal(b"\0\0\0\x14ftypqt  \0\0\0\0qt  "), "a QuickTime video");
    assert_eq!(refusal(b"\x1a\x45\xdf\xa3\x01"), "a Matroska or WebM video");
    assert_eq!(refusal(b"%PDF-1.7\n"), "a PDF document");
    assert_eq!(refusal(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), "an SVG drawing");
    assert_eq!(refusal(b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- a --><SVG/>"), "an SVG drawing");
    assert_eq!(refusal(b"<!DOCTYPE html><html>"), "a web page");
    assert_eq!(refusal("Schöne Grüße".as_bytes()), "a text file");
    assert_eq!(refusal(b"BM is not always a bitmap"), "a text file");
    assert_eq!(refusal(b""), "an empty file");
    assert_eq!(refusal(b"\x01\x02\x03"), "a file of an unknown format");
}

#[test]
fn raw_files_are_told_from_tiff() {
    assert_eq!(refusal(&tiff(&[(254, 4, 1), (50706, 1, 1)])), "a camera RAW file (DNG)");
    assert_eq!(refusal(&tiff(&[(254, 4, 1), (330, 4, 99)])), "a camera RAW file");
    assert_eq!(refusal(&tiff(&[(262, 3, 32803)])), "a camera RAW file");
    assert_eq!(refusal(b"II*\0\x10\0\0\0CR\x02\0"), "a camera RAW file (CR2)");
    assert_eq!(sniff(&tiff(&[(254, 4, 0), (330, 4, 99)])), Ok(MediaType::Tiff));
    assert_eq!(sniff(b"II*\0\xff\xff\xff\xff"), Ok(MediaType::Tiff));
}

#[test]
fn a_text_cut_inside_a_character_is_still_a_text() {
    assert_eq!(refusal("ü".as_bytes().split_last().unwrap().1), "a text file");
}
