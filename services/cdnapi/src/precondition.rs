//! Conditional requests on strong entity tags, in the order RFC 9110 gives (section 13.2.2).
//! There is no modification date (bytes never change under an id), so conditions on dates are ignored, as section 13.1 asks.

use axum::http::{HeaderMap, HeaderName, header};

/// What the conditions of a request lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// 304: the client has it.
    NotModified,
    /// 412: `If-Match` names another representation.
    PreconditionFailed,
}

/// Judges `If-Match` and `If-None-Match` against a strong `etag` (with its quotes).
pub(crate) fn judge(headers: &HeaderMap, etag: &str) -> Verdict {
    if headers.contains_key(header::IF_MATCH) && !lists(headers, &header::IF_MATCH, |tag| tag == etag) {
        return Verdict::PreconditionFailed;
    }
    // Weak comparison: a weak tag of the same value matches.
    if lists(headers, &header::IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == etag) {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether the `Range` header counts: only when `If-Range` is absent or is this very tag. A date never matches.
pub(crate) fn range_applies(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

/// Whether a list of entity tags, in one or more header lines, has `*` or one that fits.
fn lists(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    // Our tags have no comma in them, so splitting at commas can tear others apart but never make one of ours.
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|tag| tag == "*" || fits(tag))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn if_none_match_takes_lists_a_star_and_weak_tags() {
        for value in ["\"abc\"", "\"x\", \"abc\"", "W/\"abc\"", "*", "\"x\",W/\"abc\" , \"y\""] {
            assert_eq!(judge(&headers(header::IF_NONE_MATCH, value), "\"abc\""), Verdict::NotModified, "{value}");
        }
        for value in ["\"ab\"", "abc", "", "W/\"x\""] {
            assert_eq!(judge(&headers(header::IF_NONE_MATCH, value), "\"abc\""), Verdict::Send, "{value}");
        }
    }

    #[test]
    fn if_match_compares_strongly_and_comes_first() {
        assert_eq!(judge(&headers(header::IF_MATCH, "\"abc\""), "\"abc\""), Verdict::Send);
        assert_eq!(judge(&headers(header::IF_MATCH, "W/\"abc\""), "\"abc\""), Verdict::PreconditionFailed);
        let mut both = headers(header::IF_MATCH, "\"x\"");
        both.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"abc\""));
        assert_eq!(judge(&both, "\"abc\""), Verdict::PreconditionFailed);
    }

    #[test]
    fn a_range_counts_only_for_the_same_representation() {
        assert!(range_applies(&HeaderMap::new(), "\"abc\""));
        assert!(range_applies(&headers(header::IF_RANGE, "\"abc\""), "\"abc\""));
        assert!(!range_applies(&headers(header::IF_RANGE, "W/\"abc\""), "\"abc\""));
        assert!(!range_applies(&headers(header::IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT"), "\"abc\""));
    }
}
