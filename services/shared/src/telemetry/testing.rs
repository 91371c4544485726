//! What a piece of code logs, as a test sees it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt};

use super::{LogFilter, stdout_lines};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that `code` logs through a filter.
pub(crate) fn logged(filter: &str, code: impl FnOnce()) -> Vec<Value> {
    logged_by(&LogFilter::new(filter).expect("a filter"), code)
}

pub(crate) fn logged_by(filter: &LogFilter, code: impl FnOnce()) -> Vec<Value> {
    logged_beside(filter, Vec::new(), code)
}

/// The same beside other layers.
pub(crate) fn logged_beside(
    filter: &LogFilter,
    mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>>,
    code: impl FnOnce(),
) -> Vec<Value> {
    let sink = Sink::default();
    let writer = sink.clone();
    layers.push(filter.before(stdout_lines().with_writer(move || writer.clone()), |_| true).expect("a filter"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), code);
    let bytes = sink.0.lock().expect("not poisoned").clone();
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
