//! SIGTERM and Ctrl-C begin an orderly end; a second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice, as shells give it for SIGINT.
const INTERRUPTED: i32 = 130;

/// Cancelled at the first signal.
pub(crate) fn shutdown() -> CancellationToken {
    let token = CancellationToken::new();
    let signalled = token.clone();
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("cannot listen for signals; an end will not be orderly");
            return;
        };
        next(&mut terminate, &mut interrupt).await;
        tracing::info!("ending: finishing what is under way; once more ends at once");
        signalled.cancel();
        next(&mut terminate, &mut interrupt).await;
        std::process::exit(INTERRUPTED);
    });
    token
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
