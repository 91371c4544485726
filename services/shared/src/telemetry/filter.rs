//! What is logged, and how that is changed while the process runs.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, ParseError, filter_fn},
    reload,
};

use super::context::TRACE;

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFilter {
    #[error("the filter is empty; write it as info,backends=debug")]
    Empty,
    /// `RUST_LOG` takes any word for the name of a part of the program; nearly always it is a level that was mistyped.
    #[error("{0:?} is no level; use error, warn, info, debug, trace or off, or name what it is for: backends=debug")]
    Level(String),
    #[error("{filter:?} can't be used; write it as info,backends=debug")]
    Syntax {
        filter: String,
        #[source]
        source: ParseError,
    },
}

/// The filter of everything that a process logs. Clones are the same filter.
#[derive(Clone)]
pub struct LogFilter(Arc<Mutex<Inner>>);

struct Inner {
    text: String,
    /// One for each place that logs go to.
    handles: Vec<reload::Handle<EnvFilter, Registry>>,
}

impl LogFilter {
    pub fn new(text: &str) -> Result<Self, InvalidFilter> {
        parse(text)?;
        Ok(Self(Arc::new(Mutex::new(Inner { text: text.to_owned(), handles: Vec::new() }))))
    }

    /// As it was given last.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// Filters from now on by `text`, until the process ends.
    ///
    /// # Errors
    /// When it is no filter; the one before stays.
    pub fn set(&self, text: &str) -> Result<(), InvalidFilter> {
        parse(text)?;
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in &inner.handles {
            // Fails only when nobody logs any more.
            let _ = handle.reload(parse(text)?);
        }
        text.clone_into(&mut inner.text);
        Ok(())
    }

    /// Puts the filter before a place that logs go to. Spans of traces never get there.
    pub(super) fn before<L>(
        &self,
        layer: L,
        passes: fn(&Metadata<'_>) -> bool,
    ) -> Result<Box<dyn Layer<Registry> + Send + Sync>, InvalidFilter>
    where
        L: Layer<Registry> + Send + Sync,
    {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (filter, handle) = reload::Layer::new(parse(&inner.text)?);
        inner.handles.push(handle);
        // With a hint, or this alone would keep the program from leaving out early what is too fine.
        let logged = filter_fn(move |metadata| metadata.target() != TRACE && passes(metadata))
            .with_max_level_hint(LevelFilter::TRACE);
        Ok(layer.with_filter(filter.and(logged)).boxed())
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LogFilter").field(&self.text()).finish()
    }
}

fn parse(text: &str) -> Result<EnvFilter, InvalidFilter> {
    if text.trim().is_empty() {
        return Err(InvalidFilter::Empty);
    }
    let bare = text.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ']', '{', '}']));
    for part in bare {
        // The parser of levels takes nothing for a level.
        if part.is_empty() || part.parse::<LevelFilter>().is_err() {
            return Err(InvalidFilter::Level(part.to_owned()));
        }
    }
    EnvFilter::builder().parse(text).map_err(|source| InvalidFilter::Syntax { filter: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::logged_by;

    #[test]
    fn a_change_holds_at_once_and_a_mistyped_one_changes_nothing() {
        let filter = LogFilter::new("info").expect("a filter");
        let changed = filter.clone();
        let lines = logged_by(&filter, || {
            tracing::debug!("before");
            changed.set("warn,shared=debug").expect("a filter");
            tracing::debug!("after");
            for wrong in ["", "inof", "info,shared=loud", "info,,debug"] {
                assert!(changed.set(wrong).is_err(), "{wrong:?}");
            }
            tracing::debug!("still");
        });
        let told: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap_or_default()).collect();
        assert_eq!(told, ["after", "still"]);
        assert_eq!(filter.text(), "warn,shared=debug");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |text| LogFilter::new(text).map(drop).expect_err(text).to_string();
        assert!(told("inof").contains("\"inof\" is no level"));
        assert!(told("info,shared=loud").contains("shared=loud"));
    }
}
