//! Opening ONNX Runtime sessions: how many, with which threads, and how they treat memory.

use camino::Utf8Path;
use ort::{environment::Environment, ep, session::Session};

use crate::bundle::BundleError;

/// Up to this size of its weights a graph gets a session a thread; a larger one is not worth having twice in memory.
const SMALL_GRAPH_BYTES: u64 = 64 << 20;
/// Sessions beyond these bring little and cost their weights each.
const MAX_SESSIONS: usize = 4;

/// When a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// One query, then perhaps nothing for a while: memory goes back after each run.
    Sporadic,
    /// Batch after batch: memory is kept for the next. With batches of 8, giving it back costs 40 % more CPU.
    Steady,
}

pub(super) fn open(
    environment: &Environment,
    path: &Utf8Path,
    threads: usize,
    load: Load,
) -> Result<Session, BundleError> {
    let open = || -> ort::Result<Session> {
        Session::builder(environment)?
            .with_intra_threads(threads.max(1))?
            .with_inter_threads(1)?
            // Spinning threads would take the CPU from decoding.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // Weights in the arena would leave it with holes.
            .with_device_allocated_initializers()?
            .with_execution_providers([ep::CPU::default().with_arena_allocator(load == Load::Steady).build()])?
            .commit_from_file(path)
    };
    open().map_err(|source| BundleError::Graph { path: path.to_owned(), source })
}

/// How the CPUs are divided among sessions of the image graph.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) sessions: usize,
    /// Of each session.
    pub(super) threads: usize,
}

impl Plan {
    /// Sessions of one thread each don't wait for each other within every operator, so they are the faster way where
    /// memory allows it.
    pub(super) fn of(graph: &Utf8Path, threads: usize) -> Self {
        Self::divide(folder_bytes(graph), threads)
    }

    fn divide(graph_bytes: u64, threads: usize) -> Self {
        let threads = threads.max(1);
        let sessions = if graph_bytes <= SMALL_GRAPH_BYTES { threads.min(MAX_SESSIONS) } else { 1 };
        Self { sessions, threads: threads / sessions }
    }
}

/// Of all that lies beside the graph, because weights may have any name there; an estimate from above.
fn folder_bytes(graph: &Utf8Path) -> u64 {
    let files = graph.parent().and_then(|folder| folder.read_dir_utf8().ok()).into_iter().flatten().flatten();
    // Through links, which hubs' caches are made of.
    files.filter_map(|file| file.path().metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_graphs_get_a_session_a_thread_and_large_ones_only_one() {
        let plan = |bytes, threads| {
            let Plan { sessions, threads } = Plan::divide(bytes, threads);
            (sessions, threads)
        };
        assert_eq!(plan(6 << 20, 2), (2, 1));
        assert_eq!(plan(6 << 20, 16), (4, 4));
        assert_eq!(plan(600 << 20, 16), (1, 16));
        assert_eq!(plan(6 << 20, 0), (1, 1));
    }
}
