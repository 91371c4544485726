//! The formats in which metrics are shown, each under the content type that is exactly its own.

use axum::http::{HeaderMap, header};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// With exemplars; Prometheus asks for it.
    OpenMetrics,
    /// What everybody else reads, `promtool check metrics` among them.
    Plain,
}

impl Exposition {
    /// What a client asks for by name; [`Exposition::Plain`] for who takes anything.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let named = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_open_metrics = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(OPEN_METRICS));
            // A client may name what it does not want.
            is_open_metrics && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        };
        if accepted.flat_map(|value| value.split(',')).any(named) { Self::OpenMetrics } else { Self::Plain }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => prometheus_text::CONTENT_TYPE,
        }
    }

    pub(crate) fn encode(self, registry: &Registry) -> Result<String, std::fmt::Error> {
        let mut body = String::new();
        match self {
            Self::OpenMetrics => text::encode(&mut body, registry)?,
            Self::Plain => prometheus_text::encode(&mut body, registry)?,
        }
        Ok(body)
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_name_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, exposition) in [
            (prometheus, Exposition::OpenMetrics),
            ("application/OpenMetrics-Text", Exposition::OpenMetrics),
            ("application/openmetrics-text; q=0, text/plain", Exposition::Plain),
            ("text/html, */*;q=0.8", Exposition::Plain),
            ("", Exposition::Plain),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a header"))]);
            assert_eq!(Exposition::wanted(&headers), exposition, "{accept}");
        }
        assert_eq!(Exposition::wanted(&HeaderMap::new()), Exposition::Plain);
    }
}
