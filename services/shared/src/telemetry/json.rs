//! One JSON object a line, flat: time, level, target, message, the ids of the trace, the event's fields and those of the
//! spans around it.
//! tracing-subscriber's own nests the spans, so that `request_id` would be at another place in every line.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

use super::context;

pub(super) struct Json;

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Fields::default();
        line.0.insert("time".to_owned(), jiff::Timestamp::now().to_string().into());
        line.0.insert("level".to_owned(), metadata.level().as_str().into());
        line.0.insert("target".to_owned(), metadata.target().into());
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                line.0.extend(serde_json::from_str::<Map<String, Value>>(&fields.fields).unwrap_or_default());
            }
        }
        if let Some((trace_id, span_id)) = context::current_ids() {
            line.0.insert("trace_id".to_owned(), trace_id.to_string().into());
            line.0.insert("span_id".to_owned(), span_id.to_string().into());
        }
        // Last, so that what the event says about itself wins over its spans.
        event.record(&mut line);
        line.name_log_record();
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    /// A record of the `log` crate comes with its origin in fields of the event; only the target is of use.
    fn name_log_record(&mut self) {
        if let Some(target) = self.0.remove("log.target") {
            self.0.insert("target".to_owned(), target);
            self.0.retain(|name, _| !name.starts_with("log."));
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use serde_json::Value;

    use crate::telemetry::{
        LogFilter, TRACE,
        testing::{logged, logged_beside},
        traced,
    };

    #[test]
    fn a_line_is_flat_and_carries_the_fields_of_its_spans() {
        let lines = logged("info", || {
            let span = tracing::info_span!("request", request_id = "r-1", key_id = tracing::field::Empty);
            let _entered = span.enter();
            span.record("key_id", "k-1");
            tracing::warn!(status = 503, error = "disk \"full\"", "not\nstored");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        for (name, value) in [
            ("level", Value::from("WARN")),
            ("message", "not\nstored".into()),
            ("request_id", "r-1".into()),
            ("key_id", "k-1".into()),
            ("status", 503.into()),
            ("error", "disk \"full\"".into()),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        assert!(line["time"].is_string() && line["target"].is_string());
        assert!(line.get("trace_id").is_none());
    }

    #[test]
    fn a_line_within_a_trace_has_its_ids_and_nothing_else_of_it() {
        let provider = SdkTracerProvider::builder().build();
        let filter = LogFilter::new("trace").expect("a filter");
        let lines = logged_beside(&filter, vec![traced(provider.tracer("test"))], || {
            let request = tracing::info_span!("request", request_id = "r-1");
            let traced = tracing::info_span!(target: TRACE, "GET /images", http.route = "/images");
            traced.in_scope(|| request.in_scope(|| tracing::info!("one")));
            request.in_scope(|| traced.in_scope(|| tracing::info!("other")));
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in lines {
            assert_eq!(line["request_id"], "r-1");
            assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
            assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
            assert!(line.get("http.route").is_none(), "{line}");
        }
    }
}
