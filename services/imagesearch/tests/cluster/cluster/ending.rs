//! How a process ends that is told to.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{POLL, Process};

/// What a pod is given.
const GRACE: Duration = Duration::from_secs(30);

impl Process {
    /// SIGTERM, and the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.terminate();
        self.exit_code()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// The exit code of one that ends by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The exit code of one that was told to end: it has as long as a pod has.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < GRACE, "{} does not end:\n{}", self.role, self.log());
            std::thread::sleep(POLL);
        }
    }
}
