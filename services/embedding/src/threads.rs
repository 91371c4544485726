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

    use std::{fs, path::Path, process::Command};

    use super::*;

    /// Run by the next test in a process of its own.
    #[test]
    #[ignore = "only right inside a cgroup"]
    fn in_a_cgroup_of_one_cpu() {
        assert_eq!(cpu_limit(), 1);
    }

    /// A real quota of one CPU, where this process may make one (as root, with cgroups that it can write).
    #[test]
    fn a_cgroup_quota_of_one_cpu_gives_one_thread_on_any_host() {
        let name = format!("imagesearch-test-{}", std::process::id());
        let (v1, v2) = (Path::new("/sys/fs/cgroup/cpu").join(&name), Path::new("/sys/fs/cgroup").join(&name));
        let quota = |group: &Path, file: &str, value: &str| {
            fs::create_dir(group).and_then(|()| fs::write(group.join(file), value)).is_ok()
        };
        let group = if quota(&v1, "cpu.cfs_quota_us", "150000") {
            v1
        } else if quota(&v2, "cpu.max", "150000 100000") {
            v2
        } else {
            let _ = (fs::remove_dir(&v1), fs::remove_dir(&v2));
            eprintln!("not tested: no cgroup can be made here");
            return;
        };
        let child = Command::new("sh")
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(group.join("cgroup.procs"))
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "threads::tests::in_a_cgroup_of_one_cpu"])
            .output();
        fs::remove_dir(&group).unwrap();
        let output = child.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran nothing");
    }

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
