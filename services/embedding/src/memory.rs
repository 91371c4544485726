//! What loading a model leaves behind in the allocator.

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
