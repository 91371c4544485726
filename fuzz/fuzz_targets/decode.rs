//! Any bytes: decoding ends with pixels or a typed error, within its limits, and what it gives can be embedded.
#![no_main]

use embedding::{
    decode::{Limits, Target, decode},
    facts::facts,
    preprocess::{Interpolation, Preprocess, Resize},
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_alloc_bytes: 64 << 20 };

fuzz_target!(|bytes: &[u8]| {
    let preprocess = Preprocess {
        resize: Resize::Shortest(36),
        crop: Some((32, 32)),
        interpolation: Interpolation::Bicubic,
        mean: [0.5; 3],
        std: [0.5; 3],
        rescale: 1.0 / 255.0,
    };
    for target in [Target::Full, preprocess.decode_target()] {
        let Ok(decoded) = decode(bytes, target, &LIMITS) else { continue };
        assert_eq!(preprocess.pixels(&decoded.rgb).len(), 3 * 32 * 32);
        assert_eq!(facts(&decoded).perceptual_hash.len(), 16);
    }
});
