//! Whether a second model fits beside the current one: checked before it is loaded, since a process that is out of memory
//! or disk takes the current one along.

use shared::config::{Config, Index};
use sysinfo::System;

use super::fault::ChangeFault;

const MIB: u64 = 1 << 20;
/// Sessions for batches and for queries hold the weights each: of the bundled model (32 MB) 150 MiB are resident, of larger
/// ones three times their files.
const MEMORY_OF_ANY: u64 = 64 * MIB;
const MEMORY_PER_FILE_BYTE: u64 = 3;
/// Two copies of each vector while segments are merged; documents and graph. At a dimension of 512, 3.8 kB an image were
/// measured once all was merged.
const DISK_PER_IMAGE: u64 = 4096;
const DISK_PER_NUMBER: u64 = 2 * size_of::<f32>() as u64;
const DISK_OF_ANY: u64 = 64 * MIB;

/// `size_bytes` is that of the model's files.
pub(super) fn check_memory(size_bytes: u64) -> Result<(), ChangeFault> {
    let (needed, free) = (MEMORY_OF_ANY + MEMORY_PER_FILE_BYTE * size_bytes, free_memory_bytes());
    if free < needed {
        return Err(ChangeFault::Memory { needed_mib: needed / MIB, free_mib: free / MIB });
    }
    Ok(())
}

/// What the machine has, or less, where a container may not have all of it. Cached files count as free.
fn free_memory_bytes() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let of_cgroup = system.cgroup_limits().map(|cgroup| cgroup.total_memory.saturating_sub(cgroup.rss));
    of_cgroup.map_or(system.available_memory(), |free| free.min(system.available_memory()))
}

/// The index elsewhere has disks of its own.
pub(super) fn check_disk(config: &Config, images: u64, dimension: usize) -> Result<(), ChangeFault> {
    let Index::QdrantEdge { path } = &config.index else { return Ok(()) };
    let folder = path.clone().unwrap_or_else(|| config.data_dir.join("index"));
    let needed = DISK_OF_ANY + images * (DISK_PER_IMAGE + DISK_PER_NUMBER * dimension as u64);
    match rustix::fs::statvfs(folder.as_str()) {
        Ok(disk) if disk.f_bavail * disk.f_frsize < needed => {
            let free_mib = disk.f_bavail * disk.f_frsize / MIB;
            Err(ChangeFault::Disk { images, needed_mib: needed / MIB, free_mib })
        }
        _ => Ok(()),
    }
}
