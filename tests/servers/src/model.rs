//! A second real model, beside the bundled one.

use crate::server::installed;

/// Its folder: another dimension, another preprocessing, and nearly as good with photos.
pub fn second_model() -> String {
    installed("make-second-model")
}
