//! The planes of a frame as interleaved 8-bit pixels.

use super::{
    color::Conversion,
    frame::{Frame, Plane},
};

/// Interleaved pixels that the planes of frames are written to.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1 is gray, 2 gray with alpha, 3 colour, 4 colour with alpha.
    pub(super) channels: usize,
    pub(super) pixels: Vec<u8>,
}

impl Canvas {
    /// `conversion` is one of gray for a gray frame.
    pub(super) fn write_colors(&mut self, frame: &Frame<'_>, conversion: &Conversion) -> Result<(), String> {
        if frame.is_gray() {
            return self.write_luma(frame, conversion, 0);
        }
        let y = self.luma(frame)?;
        let (u, v) = frame.plane(1).zip(frame.plane(2)).ok_or("a plane of colour is missing")?;
        if frame.sample_bytes() == 1 {
            self.write_planes::<1>([y, u, v], frame.chroma_shifts(), conversion)
        } else {
            self.write_planes::<2>([y, u, v], frame.chroma_shifts(), conversion)
        }
        .ok_or_else(|| "a plane of colour is too small".to_owned())
    }

    /// The luma of an alpha picture into the last channel.
    pub(super) fn write_alpha(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let conversion = Conversion::gray(frame.code_points().full_range, frame.depth());
        self.write_luma(frame, &conversion, self.channels - 1)
    }

    fn write_luma(&mut self, frame: &Frame<'_>, conversion: &Conversion, channel: usize) -> Result<(), String> {
        let plane = self.luma(frame)?;
        if frame.sample_bytes() == 1 {
            self.write_plane::<1>(plane, conversion, channel);
        } else {
            self.write_plane::<2>(plane, conversion, channel);
        }
        Ok(())
    }

    fn luma<'a>(&self, frame: &Frame<'a>) -> Result<Plane<'a>, String> {
        let plane = frame.plane(0).ok_or("it has no luma")?;
        let (width, height) = (self.width, self.height);
        if (plane.width, plane.height) != (width, height) {
            return Err(format!(
                "a part of it has {}×{} pixels instead of {width}×{height}",
                plane.width, plane.height
            ));
        }
        Ok(plane)
    }

    fn write_plane<const BYTES: usize>(&mut self, plane: Plane<'_>, conversion: &Conversion, channel: usize) {
        for (number, target) in self.pixels.chunks_exact_mut(self.width * self.channels).enumerate() {
            let row = plane.row(number).unwrap_or_default().as_chunks::<BYTES>().0;
            for (pixel, sample) in target.chunks_exact_mut(self.channels).zip(row) {
                pixel[channel] = conversion.luma(value(sample));
            }
        }
    }

    /// Chroma is that of the nearest sample.
    fn write_planes<const BYTES: usize>(
        &mut self,
        [y, u, v]: [Plane<'_>; 3],
        (across, down): (u32, u32),
        conversion: &Conversion,
    ) -> Option<()> {
        for (number, target) in self.pixels.chunks_exact_mut(self.width * self.channels).enumerate() {
            let y_row = y.row(number)?.as_chunks::<BYTES>().0;
            let u_row = u.row(number >> down)?.as_chunks::<BYTES>().0;
            let v_row = v.row(number >> down)?.as_chunks::<BYTES>().0;
            for (x, (pixel, y)) in target.chunks_exact_mut(self.channels).zip(y_row).enumerate() {
                let (u, v) = (u_row.get(x >> across)?, v_row.get(x >> across)?);
                pixel[..3].copy_from_slice(&conversion.rgb(value(y), value(u), value(v)));
            }
        }
        Some(())
    }

    /// Undoes the multiplication of colours by alpha.
    pub(super) fn divide_by_alpha(&mut self) {
        for pixel in self.pixels.chunks_exact_mut(self.channels) {
            let Some((alpha, colors)) = pixel.split_last_mut() else { continue };
            let alpha = u32::from(*alpha);
            for color in colors {
                *color = (u32::from(*color) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0).min(255) as u8;
            }
        }
    }
}

/// A sample of one byte, or of two in the machine's order.
fn value<const BYTES: usize>(sample: &[u8; BYTES]) -> i32 {
    match sample.as_slice() {
        [byte] => i32::from(*byte),
        [first, second, ..] => i32::from(u16::from_ne_bytes([*first, *second])),
        [] => 0,
    }
}
