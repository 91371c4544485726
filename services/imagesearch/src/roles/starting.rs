//! What a process says while it can't do its work yet: at its admin port why, to clients that it is worth another try.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use backends::{error::StoreError, stores::OpenError};
use shared::http::{Problem, Readiness};

const OPENING: &str = "stores and model are being opened";

/// A fault that waiting may mend.
pub(crate) trait MayPass: std::error::Error + Send + Sync + 'static {
    fn may_pass(&self) -> bool;

    /// What is waited for, as clients are told: `objects`, `queue`, `index` or `model`.
    fn missing(&self) -> Option<&'static str>;
}

impl MayPass for OpenError {
    fn may_pass(&self) -> bool {
        self.is_unavailable()
    }

    fn missing(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => Some(store(error)),
            Self::Identity(_) => Some("objects"),
            Self::Lock(_) => None,
        }
    }
}

/// Which of the stores a fault is of.
pub(super) fn store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Record(_) | StoreError::Object(_) => "objects",
        StoreError::Queue(_) => "queue",
        StoreError::Index(_) => "index",
    }
}

/// What the start of a process waits for, until it is over.
#[derive(Clone)]
pub(super) struct Starting(Arc<Mutex<Option<Awaited>>>);

#[derive(Clone)]
struct Awaited {
    missing: Option<&'static str>,
    reason: String,
}

impl Starting {
    pub(super) fn new() -> Self {
        let starting = Self(Arc::default());
        starting.opens();
        starting
    }

    /// Nothing is known to be away.
    pub(super) fn opens(&self) {
        self.set(Some(Awaited { missing: None, reason: OPENING.to_owned() }));
    }

    pub(super) fn waits(&self, fault: &impl MayPass) {
        self.set(Some(Awaited { missing: fault.missing(), reason: fault.to_string() }));
    }

    pub(super) fn ends(&self) {
        self.set(None);
    }

    /// Not ready until the start is over.
    pub(super) fn watch(&self, readiness: &Readiness) {
        let starting = self.clone();
        readiness.add("start", move || {
            let awaited = starting.get();
            async move { awaited.map_or(Ok(()), |awaited| Err(awaited.reason)) }
        });
    }

    /// Answers every request with what is waited for.
    pub(super) fn router(&self) -> Router {
        let starting = self.clone();
        Router::new().fallback(move || {
            let missing = starting.get().and_then(|awaited| awaited.missing);
            async move { Problem::starting(missing) }
        })
    }

    fn get(&self) -> Option<Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, awaited: Option<Awaited>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = awaited;
    }
}
