//! How many threads the model may use: what the process was given, not what the machine has.

use std::{num::NonZeroUsize, thread};

/// CPUs that this process may use, at least 1.
///
/// On Linux the standard library takes the smaller of the affinity mask and the cgroup's CPU quota (v1 and v2, every
/// level of the hierarchy), a fraction rounded down: 1.5 CPUs are 1 thread, because a second one would be throttled
/// half of the time and the two wait for each other within each operator. ONNX Runtime itself looks only at the host.
pub fn cpu_limit() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "C functions without a safe wrapper")]
    fn who_may_use_one_cpu_gets_one_thread_on_any_host() {
        let limit = thread::spawn(|| {
            // SAFETY: the set is plain data, and only this thread's mask is changed.
            let status = unsafe {
                let mut allowed: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(libc::sched_getcpu() as usize, &mut allowed);
                libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const allowed)
            };
            assert_eq!(status, 0);
            cpu_limit()
        });
        assert_eq!(limit.join().unwrap(), 1);
    }
}
