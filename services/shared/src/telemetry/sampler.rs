//! Which traces are kept: as `OTEL_TRACES_SAMPLER` says, and two things that it can't say.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::context::UNDECIDED;

/// - A page, or a command that exports nothing, begins a trace without knowing which ones are kept. It says so in
///   `tracestate`, and the decision is made here as for a trace that begins here.
/// - A batch has no parent, only links: it is kept if something in it is, or its parts would link to nothing.
#[derive(Debug, Clone)]
pub(super) struct Keep(pub(super) Sampler);

impl ShouldSample for Keep {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let caller = parent.map(|parent| parent.span().span_context().clone()).filter(SpanContext::is_valid);
        match caller {
            Some(caller) if caller.is_remote() && caller.trace_state().get(UNDECIDED).is_some() => {
                let decided = self.0.should_sample(None, trace_id, name, kind, attributes, links);
                SamplingResult { trace_state: caller.trace_state().clone(), ..decided }
            }
            None if !links.is_empty() => {
                let is_kept = links.iter().any(|link| link.span_context.is_sampled());
                SamplingResult {
                    decision: if is_kept { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
                    attributes: Vec::new(),
                    trace_state: TraceState::default(),
                }
            }
            _ => self.0.should_sample(parent, trace_id, name, kind, attributes, links),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags};

    use super::*;

    fn context(trace_id: u128, is_sampled: bool, state: &str) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let state = state.parse().expect("a trace state");
        SpanContext::new(TraceId::from(trace_id), SpanId::from(7), flags, true, state)
    }

    fn keeps(sampler: &Sampler, parent: Option<SpanContext>, links: &[Link], trace_id: u128) -> bool {
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent));
        let keep = Keep(sampler.clone());
        let decided =
            keep.should_sample(parent.as_ref(), TraceId::from(trace_id), "name", &SpanKind::Internal, &[], links);
        decided.decision == SamplingDecision::RecordAndSample
    }

    const THOUSAND: std::ops::Range<u128> = 0..1000;

    /// Spread over the low 64 bits, by which a ratio decides.
    fn id(number: u128) -> u128 {
        (1 << 64) + number * (u128::from(u64::MAX) / 1000) + 1
    }

    #[test]
    fn a_page_begins_traces_and_the_ratio_keeps_its_share_of_them() {
        let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
        let page = THOUSAND
            .filter(|number| keeps(&tenth, Some(context(id(*number), true, "imagesearch=page")), &[], id(*number)));
        assert!((50..=200).contains(&page.count()));
    }

    #[test]
    fn who_has_decided_is_followed() {
        let never = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)));
        let always = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        assert!(keeps(&never, Some(context(1, true, "")), &[], 1));
        assert!(!keeps(&always, Some(context(1, false, "vendor=x")), &[], 1));
        assert!(!keeps(&never, None, &[], 1));
    }

    #[test]
    fn a_batch_is_kept_when_a_part_of_it_is() {
        let always = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let never = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let link = |is_sampled| Link::with_context(context(3, is_sampled, ""));
        assert!(keeps(&never, None, &[link(false), link(true)], 9));
        assert!(!keeps(&always, None, &[link(false), link(false)], 9));
    }
}
