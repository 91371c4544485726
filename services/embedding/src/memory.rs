//! What a model may take, and what loading one leaves behind in the allocator.

use std::fs;

/// Memory that this process may still take before it is killed or others are: what the machine has available, or what is left
/// of the cgroup's limit, if that is less. `None` where nobody tells.
pub fn available_memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| meminfo_available(&text));
    let cgroup = CGROUPS.iter().find_map(cgroup_available);
    machine.into_iter().chain(cgroup).min()
}

/// Of the cgroup that a container sees as its own, by version: its limit, its usage, and what of that can be reclaimed.
const CGROUPS: [CgroupFiles; 2] = [
    CgroupFiles {
        limit: "/sys/fs/cgroup/memory.max",
        usage: "/sys/fs/cgroup/memory.current",
        details: "/sys/fs/cgroup/memory.stat",
        reclaimable: "inactive_file",
    },
    CgroupFiles {
        limit: "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        usage: "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        details: "/sys/fs/cgroup/memory/memory.stat",
        reclaimable: "total_inactive_file",
    },
];

struct CgroupFiles {
    limit: &'static str,
    usage: &'static str,
    details: &'static str,
    reclaimable: &'static str,
}

fn cgroup_available(files: &CgroupFiles) -> Option<u64> {
    let number = |path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let details = fs::read_to_string(files.details).ok()?;
    let reclaimable = field(&details, files.reclaimable)?;
    Some(number(files.limit)?.saturating_sub(number(files.usage)?.saturating_sub(reclaimable)))
}

fn meminfo_available(meminfo: &str) -> Option<u64> {
    Some(field(meminfo, "MemAvailable:")? << 10)
}

/// The number behind a name in lines of names and numbers.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Gives memory that is free, but still counted as ours, back to the system: parsing a graph and folding its constants
/// leaves about 50 MiB of it in the holes of glibc's heaps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a C function without a safe wrapper")]
pub(crate) fn return_free_memory() {
    // SAFETY: it takes the heaps' own locks, and touches only pages that nobody has allocated.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn return_free_memory() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_what_the_kernel_says() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\n";
        assert_eq!(meminfo_available(meminfo), Some(1 << 20));
        assert_eq!(field("active_file 7\ninactive_file 8\n", "inactive_file"), Some(8));
        assert_eq!(meminfo_available("MemTotal: 1 kB"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(available_memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
