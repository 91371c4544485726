//! How AVIF describes its colours by code points, and the way from luma and chroma to RGB.
//! Source: ITU-T H.273, whose numbers are used as they are.

use moxcms::{CicpColorPrimaries, CicpProfile, ColorProfile, MatrixCoefficients, TransferCharacteristics};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodePoints {
    pub(super) primaries: u8,
    pub(super) transfer: u8,
    pub(super) matrix: u8,
    pub(super) full_range: bool,
}

impl CodePoints {
    /// An ICC profile for the RGB values; `None` when they are sRGB already, or nothing is known about them.
    pub(super) fn profile(self) -> Option<Vec<u8>> {
        const SRGB: u8 = 13;
        let transfer = match self.transfer {
            // Television's curves are shown as sRGB's by everybody. HDR's (PQ, HLG) would need tone mapping: taken as
            // sRGB they are flat, but not black.
            0..=2 | 6 | 11..=16 | 18 => SRGB,
            transfer => transfer,
        };
        let primaries = match self.primaries {
            0..=2 => 1,
            primaries => primaries,
        };
        if (primaries, transfer) == (1, SRGB) {
            return None;
        }
        let profile = ColorProfile::new_from_cicp(CicpProfile {
            color_primaries: CicpColorPrimaries::try_from(primaries).ok()?,
            transfer_characteristics: TransferCharacteristics::try_from(transfer).ok()?,
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        profile.red_trc.as_ref()?;
        profile.encode().ok()
    }
}

/// From stored samples to 8 bits of red, green and blue: subtract the offsets, multiply.
pub(super) struct Conversion {
    /// Times 65536.
    matrix: [[i32; 3]; 3],
    luma_offset: i32,
    chroma_offset: i32,
}

impl Conversion {
    /// `None` for matrices that only video has.
    pub(super) fn new(matrix: u8, full_range: bool, depth: u32) -> Option<Self> {
        let rows = rows(matrix)?;
        let most = f64::from((1u32 << depth) - 1);
        let step = f64::from(1u32 << (depth - 8));
        let (luma_offset, luma, chroma) = if full_range {
            (0, 255.0 / most, 255.0 / most)
        } else {
            (16 << (depth - 8), 255.0 / (219.0 * step), 255.0 / (224.0 * step))
        };
        // With the identity all three planes are colours.
        let (chroma_offset, chroma) = if matrix == IDENTITY { (luma_offset, luma) } else { (1 << (depth - 1), chroma) };
        let fixed = |value: f64| (value * 65536.0).round() as i32;
        let matrix = rows.map(|[y, u, v]| [fixed(y * luma), fixed(u * chroma), fixed(v * chroma)]);
        Some(Self { matrix, luma_offset, chroma_offset })
    }

    /// For a single plane, of which there are gray pictures and transparency.
    pub(super) fn gray(full_range: bool, depth: u32) -> Self {
        let (offset, most) = if full_range { (0, (1 << depth) - 1) } else { (16 << (depth - 8), 219 << (depth - 8)) };
        let scale = (255.0 * 65536.0 / f64::from(most)).round() as i32;
        Self { matrix: [[scale, 0, 0]; 3], luma_offset: offset, chroma_offset: 0 }
    }

    pub(super) fn luma(&self, y: i32) -> u8 {
        self.rgb(y, 0, 0)[0]
    }

    pub(super) fn rgb(&self, y: i32, u: i32, v: i32) -> [u8; 3] {
        let (y, u, v) = (y - self.luma_offset, u - self.chroma_offset, v - self.chroma_offset);
        self.matrix.map(|row| ((row[0] * y + row[1] * u + row[2] * v + 32768) >> 16).clamp(0, 255) as u8)
    }
}

const IDENTITY: u8 = 0;

/// Of luma and both chromas (−½ to ½), for red, green and blue.
fn rows(matrix: u8) -> Option<[[f64; 3]; 3]> {
    const GREEN_MAGENTA_ORANGE: u8 = 8;
    let (red, blue) = match matrix {
        IDENTITY => return Some([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        GREEN_MAGENTA_ORANGE => return Some([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]]),
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        // Unspecified is BT.601 to libavif and to browsers.
        2 | 5 | 6 => (0.299, 0.114),
        7 => (0.212, 0.087),
        9 => (0.2627, 0.0593),
        _ => return None,
    };
    let green = 1.0 - red - blue;
    let (to_red, to_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
    Some([[1.0, 0.0, to_red], [1.0, -to_blue * blue / green, -to_red * red / green], [1.0, to_blue, 0.0]])
}
