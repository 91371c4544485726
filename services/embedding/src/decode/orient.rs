//! Turns pixels upright. Phones store most portraits lying on their side, so this is on the way of many photos.

use image::{RgbImage, metadata::Orientation};

/// Side of the squares that are turned one after the other, so that the rows that a turned row comes from stay in the
/// cache. Measured on 3 megapixels: 3 ms; 5 ms without squares, 10 ms by the `image` crate.
const TILE: usize = 8;

/// Where the pixels of the result come from: pixel (x, y) is the source's number `first + x · right + y · down`.
struct Path {
    first: usize,
    right: isize,
    down: isize,
    swaps_sides: bool,
}

/// Whether width and height change places.
pub(super) fn swaps_sides(orientation: Orientation) -> bool {
    path(orientation, 1, 1).is_some_and(|path| path.swaps_sides)
}

pub(super) fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let Some(path) = path(orientation, width, height) else { return image };
    let (turned_width, turned_height) = if path.swaps_sides { (height, width) } else { (width, height) };
    let mut turned = vec![0; image.as_raw().len()];
    let (source, rows) = (image.as_raw().as_chunks::<3>().0, turned.as_chunks_mut::<3>().0);
    for top in (0..turned_height).step_by(TILE) {
        for left in (0..turned_width).step_by(TILE) {
            let right = (left + TILE).min(turned_width);
            for y in top..(top + TILE).min(turned_height) {
                let mut from = path.first as isize + left as isize * path.right + y as isize * path.down;
                for pixel in &mut rows[y * turned_width + left..y * turned_width + right] {
                    *pixel = source[from as usize];
                    from += path.right;
                }
            }
        }
    }
    RgbImage::from_raw(turned_width as u32, turned_height as u32, turned).unwrap_or(image)
}

/// `None` when there is nothing to turn. Source: EXIF 2.32, 4.6.4 A, as `image` names the eight values.
fn path(orientation: Orientation, width: usize, height: usize) -> Option<Path> {
    let (row, last_row, last) = (width as isize, (height - 1) * width, height * width - 1);
    let (first, right, down, swaps_sides) = match orientation {
        Orientation::NoTransforms => return None,
        Orientation::FlipHorizontal => (width - 1, -1, row, false),
        Orientation::Rotate180 => (last, -1, -row, false),
        Orientation::FlipVertical => (last_row, 1, -row, false),
        Orientation::Rotate90FlipH => (0, row, 1, true),
        Orientation::Rotate90 => (last_row, -row, 1, true),
        Orientation::Rotate270FlipH => (last, -row, -1, true),
        Orientation::Rotate270 => (width - 1, row, -1, true),
    };
    Some(Path { first, right, down, swaps_sides })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use image::{DynamicImage, Rgb};

    use super::*;

    #[test]
    fn every_turn_is_that_of_the_image_crate() {
        let stored = RgbImage::from_fn(70, 45, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).unwrap();
            let mut expected = DynamicImage::ImageRgb8(stored.clone());
            expected.apply_orientation(orientation);
            assert_eq!(upright(stored.clone(), orientation), expected.into_rgb8(), "orientation {value}");
        }
    }
}
