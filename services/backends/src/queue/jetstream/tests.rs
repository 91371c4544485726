//! The JetStream queue does what every queue must, and what only a server far away can do wrong is handled.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use shared::config::Jetstream;

use super::{JetstreamQueue, server::namespace};
use crate::queue::conformance::{Limits, Opened, conformance};

conformance!(open_fresh);

async fn open_fresh(limits: Limits) -> Opened {
    let config = Jetstream { max_jobs: limits.max_jobs, keep_tasks: limits.keep_tasks, ..namespace() };
    Opened { queue: Arc::new(JetstreamQueue::open(&config).await.unwrap()), _kept: Box::new(()) }
}
