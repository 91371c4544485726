//! Who called, and who is called: W3C Trace Context (<https://www.w3.org/TR/trace-context/>) in headers and in jobs.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, TraceId,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{FutureExt, SpanContext, SpanId, TraceContextExt},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator},
};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Spans with this target are traced, and no others; they are no part of log lines. Where nothing is exported, nobody is
/// interested in them, and one costs as much as looking at a flag. Numbers in them are `i64`: the bridge to OpenTelemetry
/// makes texts of unsigned ones.
pub const TRACE: &str = "imagesearch::trace";

/// The member of `tracestate` by which a caller says that it hasn't decided whether the trace is kept.
pub(super) const UNDECIDED: &str = "imagesearch";
/// Its value where that is the page.
const PAGE: &str = "page";

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Whether something of a trace is under way here. What stores do by themselves (probes, the sweep) begins no trace.
pub fn is_traced() -> bool {
    Context::map_current(TraceContextExt::has_active_span)
}

/// The ids of trace and span that are under way here, in hexadecimal.
pub(super) fn current_ids() -> Option<(TraceId, SpanId)> {
    Context::map_current(|context| {
        let span = context.span();
        let current = span.span_context();
        current.is_valid().then(|| (current.trace_id(), current.span_id()))
    })
}

/// The trace that is under way here, where it is recorded: an example for a metric.
pub(crate) fn recorded_trace_id() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let current = span.span_context();
        current.is_sampled().then(|| current.trace_id().to_string())
    })
}

/// Makes a span that was not entered yet a child of the one that the headers name, if they do.
pub(crate) fn continue_from_headers(span: &Span, headers: &HeaderMap) {
    continue_from_extractor(span, &Headers(headers));
}

/// The same with the context that a job has brought along, as [`traceparent`] gave it.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    continue_from_extractor(span, &Traceparent(traceparent));
}

fn continue_from_extractor(span: &Span, carrier: &dyn Extractor) {
    if span.is_disabled() {
        return;
    }
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
    if caller.has_active_span() {
        // Refused only for a span that was begun already.
        let _ = span.set_parent(caller);
    }
}

/// What `traceparent` names, if that is a trace that is kept.
pub(super) fn kept_span(traceparent: &str) -> Option<SpanContext> {
    let carrier = Traceparent(Some(traceparent));
    let named = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let named = named.span().span_context().clone();
    (named.is_valid() && named.is_sampled()).then_some(named)
}

/// For the answer to a page that has begun a trace which is kept ([Server Timing](https://www.w3.org/TR/server-timing/)):
/// only then does it send its own part.
pub(crate) fn server_timing(span: &Span) -> Option<HeaderValue> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let own = span.span_context();
    if !own.is_sampled() || own.trace_state().get(UNDECIDED) != Some(PAGE) {
        return None;
    }
    HeaderValue::try_from(format!("traceparent;desc=\"00-{}-{}-01\"", own.trace_id(), own.span_id())).ok()
}

/// What a job carries so that its work continues this trace.
pub fn traceparent() -> Option<String> {
    let mut carrier = Injected::default();
    TraceContextPropagator::new().inject_context(&Context::current(), &mut carrier);
    carrier.0
}

/// Headers for a request to a server of ours: of the trace that is under way, or of one that begins with the request and is
/// left for the server to decide on.
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(traceparent) = traceparent() {
        put(TRACEPARENT, &traceparent);
    } else {
        let ids = RandomIdGenerator::default();
        put(TRACEPARENT, &format!("00-{}-{}-01", ids.new_trace_id(), ids.new_span_id()));
        put(TRACESTATE, &format!("{UNDECIDED}=caller"));
    }
    headers
}

/// A future that is polled by another task and still belongs to what is under way here: in log lines and in the trace, whose
/// spans are not the same ones.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.in_current_span().with_context(Context::current())
}

/// The same for work on another thread.
pub fn carried_work<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (span, context) = (Span::current(), Context::current());
    move || {
        let _attached = context.attach();
        span.in_scope(work)
    }
}

/// Says in a span that another one belongs to it. The other one begins by that, so what it links to itself comes first: a
/// sampler looks at the links that are there when a span begins.
pub fn link(span: &Span, other: &Span) {
    if !span.is_disabled() {
        span.add_link(other.context().span().span_context().clone());
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Traceparent<'a>(Option<&'a str>);

impl Extractor for Traceparent<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.filter(|_| name == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[derive(Default)]
struct Injected(Option<String>);

impl Injector for Injected {
    fn set(&mut self, name: &str, value: String) {
        if name == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}
