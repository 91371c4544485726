//! A short digest of anything that can be written as JSON: pods roll when it changes.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// 16 letters. Maps are written in the order of their keys, so that the same contents have the same digest.
pub(crate) fn of(contents: &impl Serialize) -> String {
    // Everything that is hashed is our own and has texts as keys, so writing it can't fail.
    let bytes = serde_json::to_vec(contents).unwrap_or_default();
    hex::encode(&Sha256::digest(bytes)[..8])
}
