//! AVIF is a container of many options around AV1; each has a picture whose colours are known.

use super::*;

#[test]
fn every_sampling_depth_and_range_shows_the_same_scene() {
    for name in ["rgb420", "rgb422", "rgb444", "rgb10bit", "rgb10bit_limited", "rgb12bit", "rgb12bit_limited"] {
        assert_fields(&format!("{name}.avif"), SCENE, 6);
    }
    for matrix in ["identity", "bt709", "ycgco", "bt2020"] {
        assert_fields(&format!("matrix_{matrix}.avif"), SCENE, 6);
    }
    for name in ["grey.avif", "grey10bit.avif"] {
        assert_fields(name, GREYS, 3);
    }
}

#[test]
fn the_main_picture_of_an_animation_is_read() {
    assert_fields("animated.avif", SCENE, 6);
}

#[test]
fn transparency_shows_the_background() {
    for name in ["transparent.avif", "transparent10bit.avif"] {
        assert_fields(name, [SCENE[0], SCENE[1], SCENE[2], [BACKGROUND; 3]], 8);
    }
    // 200, 0, 0 at half strength on white, whichever way it is stored.
    for name in ["half_transparent.avif", "premultiplied.avif"] {
        assert_fields(name, [[227, 127, 127]; 4], 4);
    }
}

#[test]
fn profiles_and_code_points_are_converted_to_srgb() {
    // Display P3 with a gamma of 2.2, and with sRGB's curve.
    assert_fields("display_p3.avif", [[216, 93, 24]; 4], 4);
    assert_fields("display_p3_nclx.avif", [[215, 93, 31]; 4], 4);
}

#[test]
fn the_container_turns_the_picture_once() {
    let upright = decoded("orientation_1.jpg");
    for value in 1..=8 {
        let turned = decoded(&format!("orientation_{value}.avif"));
        assert_eq!((turned.full_width, turned.full_height), (144, 96), "orientation {value}");
        let difference = mean_difference(&upright.rgb, &turned.rgb);
        assert!(difference < 3.0, "orientation {value}: {difference}");
    }
}

#[test]
fn exif_in_the_container_tells_when_and_where() {
    assert_eq!(decoded("located.avif").exif, decoded("located.jpg").exif);
}

#[test]
fn sizes_are_limited_by_what_any_header_declares() {
    let kind = |name: &str, limits: &Limits| match decode(&fixture(&format!("images/{name}")), Target::Full, limits) {
        Err(DecodeError::TooLarge { kind, .. }) => kind,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(kind("declares_100000x100000.avif", &Limits::default()), LimitKind::Pixels);
    // The container says 16×16; the picture inside has 48×32.
    let few = Limits { max_pixels: 48 * 32 - 1, ..Limits::default() };
    assert_eq!(kind("declares_16x16.avif", &few), LimitKind::Pixels);
    let little = Limits { max_alloc_bytes: 3000, ..Limits::default() };
    assert_eq!(kind("rgb10bit.avif", &little), LimitKind::MemoryBytes);
}

#[test]
fn damage_is_corrupt_and_rare_kinds_are_named() {
    let whole = fixture("images/rgb444.avif");
    for bytes in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &fixture("images/declares_16x16.avif")] {
        let error = decode(bytes, Target::Full, &Limits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::Corrupt { media: MediaType::Avif, .. }), "{error}");
    }
    let error = decode(&fixture("images/grid.avif"), Target::Full, &Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("this looks like a rare kind of AVIF (a grid of tiles)"), "{error}");
}
