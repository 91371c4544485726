//! Where tests find their NATS.

use std::sync::atomic::{AtomicU32, Ordering};

use shared::config::Jetstream;

/// A configuration with names of its own on the server that tests share.
pub(super) async fn namespace() -> Jetstream {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // The process is in the name for a server that others use too.
    let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Jetstream { servers: vec![servers::shared_nats().await], name, ..Jetstream::default() }
}
