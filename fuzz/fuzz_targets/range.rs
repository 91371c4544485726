//! Any `Range` header for a representation of any size: what is served lies inside it and is not empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::http::range::{Wanted, parse};

fuzz_target!(|input: (&str, u64)| {
    let (header, size_bytes) = input;
    if let Wanted::Part(range) = parse(Some(header), size_bytes) {
        assert!(range.start < range.end && range.end <= size_bytes, "{range:?} of {size_bytes}");
    }
});
