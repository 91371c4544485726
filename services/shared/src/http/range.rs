//! The `Range` header: one range of bytes. Source: RFC 9110, section 14.

use std::ops::Range;

/// What a `Range` header asks for of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, a unit or a syntax that is not known, or several ranges, which a server may ignore.
    Whole,
    /// These bytes, inside the representation and not empty.
    Part(Range<u64>),
    /// Nothing of it lies in the range: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a representation of `size_bytes`.
pub fn parse(header: Option<&str>, size_bytes: u64) -> Wanted {
    let Some((first, last)) = header.and_then(single_range) else { return Wanted::Whole };
    match (first, last) {
        (Some(first), _) if first >= size_bytes => Wanted::Unsatisfiable,
        (Some(first), None) => Wanted::Part(first..size_bytes),
        (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(size_bytes)),
        // The last bytes: a suffix longer than the representation means all of it.
        (None, Some(0)) => Wanted::Unsatisfiable,
        (None, Some(_)) if size_bytes == 0 => Wanted::Unsatisfiable,
        (None, Some(length)) => Wanted::Part(size_bytes.saturating_sub(length)..size_bytes),
        (None, None) => Wanted::Whole,
    }
}

/// The positions of `bytes=first-last`; none when it is anything else, `8-3` included.
fn single_range(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    if !first.bytes().chain(last.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number too large for 64 bits is beyond any representation.
    let position = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX));
    match (position(first), position(last)) {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        valid => Some(valid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_clamped_to_what_is_there() {
        assert_eq!(parse(Some("bytes=0-3145727"), 1000), Wanted::Part(0..1000));
        assert_eq!(parse(Some("bytes=10-19"), 1000), Wanted::Part(10..20));
        assert_eq!(parse(Some("bytes=990-"), 1000), Wanted::Part(990..1000));
        assert_eq!(parse(Some("bytes=0-99999999999999999999999"), 1000), Wanted::Part(0..1000));
    }

    #[test]
    fn a_suffix_is_the_tail() {
        assert_eq!(parse(Some("bytes=-10"), 1000), Wanted::Part(990..1000));
        assert_eq!(parse(Some("bytes=-5000"), 1000), Wanted::Part(0..1000));
        assert_eq!(parse(Some("bytes=-0"), 1000), Wanted::Unsatisfiable);
    }

    #[test]
    fn a_start_at_or_after_the_end_is_unsatisfiable() {
        assert_eq!(parse(Some("bytes=1000-"), 1000), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=0-0"), 0), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=-1"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_not_one_valid_range_is_ignored() {
        for header in ["bytes=8-3", "bytes=-", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", "bytes", "bytes=+1-2", ""] {
            assert_eq!(parse(Some(header), 1000), Wanted::Whole, "{header}");
        }
        assert_eq!(parse(None, 1000), Wanted::Whole);
    }

    proptest::proptest! {
        #[test]
        fn a_part_always_lies_inside_and_is_not_empty(header in ".{0,40}|bytes=[0-9]{0,21}-[0-9]{0,21}", size_bytes: u64) {
            if let Wanted::Part(range) = parse(Some(&header), size_bytes) {
                proptest::prop_assert!(range.start < range.end && range.end <= size_bytes);
            }
        }
    }
}
