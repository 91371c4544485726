//! What a page has measured of its own requests. It reaches no collector, so its spans come the way of its requests and are
//! sent on here, as those of a service of its own.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PROVIDERS, context::kept_span};

/// A request that took longer was an abandoned one.
const MAX_DURATION_MS: u64 = 3_600_000;
/// The end of the year 2199.
const MAX_STARTED_MS: u64 = 7_258_118_400_000;

/// One request of a page, from the click to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageSpan {
    /// The header that the request was sent with.
    #[schema(
        pattern = "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$",
        example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )]
    pub traceparent: String,
    pub action: PageAction,
    /// Milliseconds since 1970, by the page's clock.
    #[schema(maximum = 7_258_118_400_000_u64)]
    pub started_ms: u64,
    #[schema(maximum = 3_600_000)]
    pub duration_ms: u64,
    /// Of the answer.
    #[schema(minimum = 100, maximum = 599)]
    pub status: u16,
}

/// What its user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageAction {
    Search,
    Upload,
}

/// A span that says what can't be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPageSpan {
    #[error("traceparent is of no trace that is kept")]
    Traceparent,
    #[error("started_ms is after the year 2199")]
    Start,
    #[error("duration_ms is longer than an hour")]
    Duration,
    #[error("status is none of HTTP")]
    Status,
}

/// Sends what a page has measured on to where this process's traces go, if they go anywhere.
///
/// # Errors
/// When one of them can't be; none is sent then.
pub(crate) fn send_page_spans(spans: Vec<PageSpan>) -> Result<(), InvalidPageSpan> {
    let spans = spans.into_iter().map(PageSpan::into_data).collect::<Result<Vec<_>, _>>()?;
    if let Some(page) = PROVIDERS.get().and_then(|providers| providers.page.as_ref()) {
        for span in spans {
            page.on_end(span);
        }
    }
    Ok(())
}

impl PageSpan {
    fn into_data(self) -> Result<SpanData, InvalidPageSpan> {
        let span_context = kept_span(&self.traceparent).ok_or(InvalidPageSpan::Traceparent)?;
        if self.started_ms > MAX_STARTED_MS {
            return Err(InvalidPageSpan::Start);
        }
        if self.duration_ms > MAX_DURATION_MS {
            return Err(InvalidPageSpan::Duration);
        }
        if !(100..=599).contains(&self.status) {
            return Err(InvalidPageSpan::Status);
        }
        let name = match self.action {
            PageAction::Search => "search",
            PageAction::Upload => "upload",
        };
        let start_time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.started_ms);
        Ok(SpanData {
            span_context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: name.into(),
            start_time,
            end_time: start_time + Duration::from_millis(self.duration_ms),
            attributes: vec![KeyValue::new("http.response.status_code", i64::from(self.status))],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if self.status >= 400 { Status::error("") } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("imagesearch").build(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> PageSpan {
        PageSpan {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            action: PageAction::Upload,
            started_ms: 1_700_000_000_000,
            duration_ms: 250,
            status: 202,
        }
    }

    #[test]
    fn a_span_is_what_the_page_has_sent_and_measured() {
        let data = span().into_data().expect("a span");
        assert_eq!(data.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(data.span_context.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!(data.parent_span_id, SpanId::INVALID);
        assert_eq!(
            data.end_time.duration_since(data.start_time).expect("an end after the start"),
            Duration::from_millis(250)
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        type Change = fn(&mut PageSpan);
        let cases: [(Change, InvalidPageSpan); 6] = [
            (|span| span.traceparent = "nothing".to_owned(), InvalidPageSpan::Traceparent),
            (|span| span.traceparent = span.traceparent.replace("-01", "-00"), InvalidPageSpan::Traceparent),
            (|span| span.started_ms = u64::MAX, InvalidPageSpan::Start),
            (|span| span.duration_ms = 3_600_001, InvalidPageSpan::Duration),
            (|span| span.status = 0, InvalidPageSpan::Status),
            (|span| span.status = 600, InvalidPageSpan::Status),
        ];
        for (change, refused) in cases {
            let mut changed = span();
            change(&mut changed);
            assert_eq!(changed.into_data().expect_err("a refusal"), refused);
        }
    }
}
