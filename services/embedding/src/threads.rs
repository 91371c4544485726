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
