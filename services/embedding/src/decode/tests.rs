#![allow(clippy::unwrap_used)]

mod avif;

use std::{fs, path::Path};

use image::Rgb;

use super::*;

const RED: [u8; 3] = [255, 0, 0];
const SCENE: [[u8; 3]; 4] = [RED, [0, 255, 0], [0, 0, 255], [255, 255, 255]];
const GREYS: [[u8; 3]; 4] = [[0; 3], [85; 3], [170; 3], [255; 3]];

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decoded(name: &str) -> Decoded {
    decode(&fixture(&format!("images/{name}")), Target::Full, &Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The colours in the middle of the four fields.
fn fields(image: &RgbImage) -> [[u8; 3]; 4] {
    let (width, height) = image.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| image.get_pixel(width * x / 4, height * y / 4).0)
}

fn assert_close(name: &str, found: [u8; 3], expected: [u8; 3], tolerance: u8) {
    let close = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= tolerance);
    assert!(close, "{name}: {found:?} where {expected:?} was expected");
}

fn assert_fields(name: &str, expected: [[u8; 3]; 4], tolerance: u8) {
    let image = decoded(name);
    assert!(!image.partial, "{name}");
    for (found, expected) in fields(&image.rgb).into_iter().zip(expected) {
        assert_close(name, found, expected, tolerance);
    }
}

fn mean_difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: u64 = one.as_raw().iter().zip(other.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.as_raw().len() as f64
}

#[test]
fn every_png_kind_keeps_its_colours() {
    for name in ["rgb8", "rgb16", "rgb8_interlaced", "palette2", "palette4", "palette8"] {
        assert_fields(&format!("{name}.png"), SCENE, 0);
    }
    assert_fields("palette1.png", [SCENE[0], SCENE[1], SCENE[0], SCENE[1]], 0);
}

#[test]
fn gray_keeps_its_tones_at_every_depth() {
    for name in ["grey2.png", "grey4.png", "grey8.png", "grey16.png", "grey8.tiff", "grey16.tiff"] {
        assert_fields(name, GREYS, 0);
    }
    assert_fields("grey.jpg", GREYS, 3);
    let black_and_white = [[0; 3], [255; 3], [0; 3], [255; 3]];
    for name in ["grey1.png", "grey1.bmp", "grey1.tiff"] {
        assert_fields(name, black_and_white, 0);
    }
}

#[test]
fn transparency_shows_the_background_and_never_what_it_hides() {
    let names = ["rgba8.png", "rgba16.png", "palette_transparent.png", "rgb_transparent.png", "transparent.webp"];
    for name in names.into_iter().chain(["transparent.gif", "rgba.tiff"]) {
        assert_fields(name, [SCENE[0], SCENE[1], SCENE[2], [BACKGROUND; 3]], 0);
    }
    for name in ["grey_alpha8.png", "grey_alpha16.png"] {
        assert_fields(name, [GREYS[0], GREYS[1], GREYS[2], [BACKGROUND; 3]], 0);
    }
    assert_fields("grey_transparent.png", [GREYS[0], GREYS[1], GREYS[2], [BACKGROUND; 3]], 0);
    assert_fields("half_transparent_black.png", [[127; 3]; 4], 0);
}

#[test]
fn jpeg_webp_gif_bmp_and_tiff_show_the_same_scene() {
    for name in ["baseline.jpg", "progressive.jpg", "subsampled.jpg", "lossy.webp"] {
        assert_fields(name, SCENE, 8);
    }
    for name in ["lossless.webp", "static.gif", "rgb24.bmp", "palette8.bmp", "rgba32.bmp"] {
        assert_fields(name, SCENE, 0);
    }
    for compression in ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"] {
        assert_fields(&format!("rgb_{compression}.tiff"), SCENE, 0);
    }
    for name in ["palette8.tiff", "palette8_lzw.tiff", "palette8_big_endian.tiff"] {
        assert_fields(name, SCENE, 0);
    }
}

#[test]
fn the_first_frame_of_an_animation_is_read() {
    assert_fields("animated.webp", SCENE, 0);
    for disposal in 0..4 {
        assert_fields(&format!("disposal_{disposal}.gif"), SCENE, 0);
    }
}

#[test]
fn cmyk_is_red_whatever_adobe_says() {
    for name in ["cmyk_adobe_0", "cmyk_adobe_2", "cmyk_no_marker_ink", "cmyk_no_marker_complement"] {
        assert_fields(&format!("{name}.jpg"), [RED; 4], 3);
    }
    assert_fields("cmyk.tiff", [RED; 4], 3);
}

#[test]
fn profiles_are_converted_to_srgb() {
    // What LittleCMS makes of the same pixels and profiles.
    assert_fields("display_p3.jpg", [[216, 93, 24]; 4], 3);
    assert_fields("grey_linear.jpg", [[128; 3]; 4], 2);
}

#[test]
fn a_broken_profile_or_header_costs_no_pixels() {
    for name in ["broken_profile.jpg", "jfif_version_9.jpg"] {
        assert_fields(name, SCENE, 8);
    }
    assert_fields("profile_bomb.png", SCENE, 0);
}

#[test]
fn orientation_is_applied_once() {
    let upright = decoded("orientation_1.jpg");
    assert_eq!((upright.full_width, upright.full_height), (144, 96));
    for value in 2..=8 {
        let turned = decoded(&format!("orientation_{value}.jpg"));
        assert_eq!((turned.full_width, turned.full_height), (144, 96), "orientation {value}");
        assert!(mean_difference(&upright.rgb, &turned.rgb) < 2.0, "orientation {value}");
    }
    for extension in ["png", "webp", "tiff"] {
        let turned = decoded(&format!("orientation_6.{extension}"));
        assert_eq!(turned.rgb.dimensions(), (144, 96), "{extension}");
        assert!(mean_difference(&upright.rgb, &turned.rgb) < 2.0, "{extension}");
    }
}

#[test]
fn exif_tells_when_and_where() {
    let exif = decoded("located.jpg").exif;
    assert_eq!(exif.date, Some("2024-05-06T05:08:09.25Z".parse().unwrap()));
    assert!((exif.latitude.unwrap() - -33.8567).abs() < 1e-4);
    assert!((exif.longitude.unwrap() - 151.21).abs() < 1e-4);
}

#[test]
fn exif_that_makes_no_sense_is_as_if_absent() {
    let exif = decoded("unknown_date.jpg").exif;
    assert_eq!((exif.date, exif.latitude, exif.longitude), (None, None, None));
}

#[test]
fn a_jpeg_cut_short_is_decoded_in_part() {
    let photo = fixture("photos/giraffe.jpg");
    let whole = decode(&photo, Target::Full, &Limits::default()).unwrap();
    assert!(!whole.partial);
    for kept in [photo.len() - 92, photo.len() / 2] {
        let part = decode(&photo[..kept], Target::Full, &Limits::default()).unwrap();
        assert!(part.partial, "{kept} bytes kept");
        let top = |image: &RgbImage| image::imageops::crop_imm(image, 0, 0, image.width(), 64).to_image();
        assert!(mean_difference(&top(&whole.rgb), &top(&part.rgb)) < 0.5, "{kept} bytes kept");
    }
}

#[test]
fn a_progressive_jpeg_cut_anywhere_after_its_first_scan_is_decoded_in_part() {
    let image = fixture("images/progressive.jpg");
    let scans: Vec<usize> = (0..image.len() - 1).filter(|at| image[*at..].starts_with(b"\xff\xda")).collect();
    for kept in scans[1]..image.len() - 2 {
        let part = decode(&image[..kept], Target::Full, &Limits::default()).map(|decoded| decoded.partial);
        assert_eq!(part, Ok(true), "{kept} of {} bytes kept", image.len());
    }
}

#[test]
fn damage_is_told_from_size() {
    let limits = Limits::default();
    for name in ["declares_100000x100000.png", "white_20000x20000.png"] {
        let error = decode(&fixture(&format!("images/{name}")), Target::Full, &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { kind: LimitKind::Pixels, .. }), "{name}: {error}");
    }
    for name in ["rgb8.png", "lossy.webp", "static.gif", "rgb24.bmp", "rgb_tiff_lzw.tiff"] {
        let image = fixture(&format!("images/{name}"));
        let error = decode(&image[..image.len() / 2], Target::Full, &limits).unwrap_err();
        assert!(matches!(error, DecodeError::Corrupt { .. }), "{name}: {error}");
    }
    let error = decode(&fixture("images/baseline.jpg")[..60], Target::Full, &limits).unwrap_err();
    assert!(matches!(error, DecodeError::Corrupt { media: MediaType::Jpeg, .. }), "{error}");
}

#[test]
fn an_image_without_pixels_is_refused() {
    let mut gif = fixture("images/static.gif");
    gif[6..8].fill(0);
    let error = decode(&gif, Target::Full, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("it has no pixels"), "{error}");
}

#[test]
fn limits_hold_for_bytes_pixels_and_memory() {
    let photo = fixture("photos/giraffe.jpg");
    let kind = |limits: &Limits| match decode(&photo, Target::Full, limits) {
        Err(DecodeError::TooLarge { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&Limits { max_bytes: 1000, ..Limits::default() }), LimitKind::FileBytes);
    assert_eq!(kind(&Limits { max_pixels: 10_000, ..Limits::default() }), LimitKind::Pixels);
    assert_eq!(kind(&Limits { max_alloc_bytes: 10_000, ..Limits::default() }), LimitKind::MemoryBytes);
    let small = Limits { max_alloc_bytes: 3000, ..Limits::default() };
    for name in ["rgb16.png", "lossless.webp", "static.gif", "rgb24.bmp", "grey16.tiff", "progressive.jpg"] {
        let error = decode(&fixture(&format!("images/{name}")), Target::Full, &small).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { kind: LimitKind::MemoryBytes, .. }), "{name}: {error}");
    }
}

#[test]
fn texts_that_inflate_without_end_are_never_inflated() {
    let little = Limits { max_alloc_bytes: 1 << 20, ..Limits::default() };
    let image = decode(&fixture("images/text_bomb.png"), Target::Full, &little).unwrap();
    assert_eq!(fields(&image.rgb), SCENE);
}

#[test]
fn what_is_not_an_image_is_refused_by_name() {
    let error = decode(b"%PDF-1.7", Target::Full, &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this looks like a PDF document, which cannot be read; send a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF image"
    );
}

#[test]
fn a_kind_that_its_decoder_lacks_is_refused_by_name() {
    let error = decode(&fixture("images/ycbcr.tiff"), Target::Full, &Limits::default()).unwrap_err();
    assert!(matches!(&error, DecodeError::UnsupportedType(_)), "{error}");
    assert!(error.to_string().starts_with("this looks like a rare kind of TIFF"), "{error}");
}

#[test]
fn a_large_jpeg_is_decoded_no_larger_than_needed() {
    let picture = RgbImage::from_fn(1600, 1200, |x, y| Rgb([(x / 7) as u8, (y / 5) as u8, ((x + y) / 11) as u8]));
    let jpeg = turbojpeg::compress(
        turbojpeg::Image {
            pixels: picture.as_raw().as_slice(),
            width: 1600,
            pitch: 4800,
            height: 1200,
            format: turbojpeg::PixelFormat::RGB,
        },
        90,
        turbojpeg::Subsamp::Sub2x2,
    )
    .unwrap();
    let size = |least| {
        let image = decode(&jpeg, Target::ShorterSideAtLeast(least), &Limits::default()).unwrap();
        assert_eq!((image.full_width, image.full_height), (1600, 1200));
        image.rgb.dimensions()
    };
    assert_eq!(size(1201), (1600, 1200));
    assert_eq!(size(600), (800, 600));
    assert_eq!(size(301), (800, 600));
    assert_eq!(size(150), (200, 150));
    assert_eq!(size(1), (200, 150));
}

#[test]
fn any_cut_or_flipped_byte_is_an_answer_and_never_a_panic() {
    let names = ["rgba16.png", "progressive.jpg", "cmyk_adobe_2.jpg", "located.jpg", "lossy.webp", "transparent.gif"];
    for name in names.into_iter().chain([
        "palette8.bmp",
        "rgb_packbits.tiff",
        "palette8.tiff",
        "orientation_6.webp",
        "transparent.avif",
    ]) {
        let image = fixture(&format!("images/{name}"));
        for at in (0..image.len()).step_by(1 + image.len() / 97) {
            let mut flipped = image.clone();
            flipped[at] ^= 0x5b;
            for bytes in [&image[..at], &flipped] {
                let outcome = decode(bytes, Target::Full, &Limits::default());
                assert!(!format!("{outcome:?}").contains("gave up"), "{name} at byte {at}");
            }
        }
    }
}
