//! Rate, errors and duration of every call to a store, and of fetching images by URL.

use std::time::Instant;

use futures::{Stream, StreamExt};
use prometheus_client::{encoding::EncodeLabelSet, registry::Unit};

use super::{
    definition::{Definition, Exposer, Kind, Label, Metric, Values},
    histogram::{CALL_BUCKETS_S, Durations, DurationsBy, observe},
    label::closed_label,
};

closed_label! {
    /// Who is called.
    pub Backend {
        Objects = "objects",
        Queue = "queue",
        Index = "index",
        /// Another site, for an image.
        Url = "url",
    }
}

closed_label! {
    /// What is asked of it: the methods of the ports.
    pub Operation {
        Adopt = "adopt",
        Clear = "clear",
        Collections = "collections",
        Commit = "commit",
        Count = "count",
        Counts = "counts",
        Delete = "delete",
        Depth = "depth",
        Enqueue = "enqueue",
        Extend = "extend",
        Fetch = "fetch",
        Finish = "finish",
        Get = "get",
        HandBack = "hand_back",
        Head = "head",
        Lease = "lease",
        List = "list",
        LiveTask = "live_task",
        Open = "open",
        Put = "put",
        Read = "read",
        Ready = "ready",
        Remove = "remove",
        Retry = "retry",
        Scan = "scan",
        Search = "search",
        SetDocument = "set_document",
        SetImageId = "set_image_id",
        Stage = "stage",
        Task = "task",
        Tasks = "tasks",
        Upsert = "upsert",
        Write = "write",
    }
}

closed_label! {
    /// How it ended.
    pub Outcome {
        Ok = "ok",
        /// Something else changed meanwhile, or the lease is another worker's: no fault of the store.
        Conflict = "conflict",
        /// The request can't be done, whoever asks.
        Refused = "refused",
        /// There is no room.
        Full = "full",
        /// The store is away, slow or refusing for now.
        Unavailable = "unavailable",
        /// Who asked went away before the answer, or would not wait any longer.
        Abandoned = "abandoned",
    }
}

/// What a call failed with, for the metrics.
pub trait Fault {
    fn outcome(&self) -> Outcome;
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    pub backend: Backend,
    pub operation: Operation,
    pub outcome: Outcome,
}

pub(super) static CALLS: Metric<DurationsBy<CallLabels>> = Metric::new(
    Definition {
        name: "imagesearch_backend_call_duration",
        kind: Kind::Histogram,
        unit: Some(Unit::Seconds),
        labels: &[
            Label { name: "backend", values: Values::Closed(Backend::VALUES) },
            Label { name: "operation", values: Values::Closed(Operation::VALUES) },
            Label { name: "outcome", values: Values::Closed(Outcome::VALUES) },
        ],
        help: "Time that a store or another site took to answer; of lists to their end, of reads and fetches to the first \
               byte, of leases including the wait for a job",
        exposed_by: Exposer::SERVICES,
    },
    || DurationsBy::new_with_constructor(|| Durations::new(CALL_BUCKETS_S.into_iter())),
);

/// Counts a call by its end, also when it is dropped before.
struct Call {
    labels: CallLabels,
    started: Instant,
}

impl Call {
    fn begin(backend: Backend, operation: Operation, outcome: Outcome) -> Self {
        Self { labels: CallLabels { backend, operation, outcome }, started: Instant::now() }
    }

    fn end_with(&mut self, outcome: Outcome) {
        self.labels.outcome = outcome;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        observe(&CALLS.get_or_create(&self.labels), self.started.elapsed());
    }
}

/// Measures one call.
///
/// # Errors
/// Those of the call.
pub async fn call<T, E: Fault>(
    backend: Backend,
    operation: Operation,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut call = Call::begin(backend, operation, Outcome::Abandoned);
    let answer = answer.await;
    call.end_with(answer.as_ref().err().map_or(Outcome::Ok, Fault::outcome));
    answer
}

/// Measures a list that comes in pieces, to its end or to where its reader stops.
pub fn stream<T, E: Fault>(
    backend: Backend,
    operation: Operation,
    items: impl Stream<Item = Result<T, E>>,
) -> impl Stream<Item = Result<T, E>> {
    let mut call = Call::begin(backend, operation, Outcome::Ok);
    items.inspect(move |item| {
        if let Err(fault) = item {
            // Through a method: a closure that names a field takes a copy of it along, and the call would end here.
            call.end_with(fault.outcome());
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    struct Away;

    impl Fault for Away {
        fn outcome(&self) -> Outcome {
            Outcome::Unavailable
        }
    }

    /// Calls that ended so; the metrics are the process's, so each test has an operation of its own.
    fn seen(operation: Operation, outcome: Outcome) -> bool {
        CALLS.get(&CallLabels { backend: Backend::Url, operation, outcome }).is_some()
    }

    #[tokio::test]
    async fn a_call_is_counted_by_how_it_ended() {
        let ended = async |answer| drop(call(Backend::Url, Operation::Adopt, async { answer }).await);
        ended(Ok(())).await;
        assert!(seen(Operation::Adopt, Outcome::Ok) && !seen(Operation::Adopt, Outcome::Unavailable));
        ended(Err(Away)).await;
        assert!(seen(Operation::Adopt, Outcome::Unavailable));
    }

    #[test]
    fn a_call_that_nobody_waits_for_any_more_is_counted_as_abandoned() {
        let mut waiting = Box::pin(call(Backend::Url, Operation::Clear, std::future::pending::<Result<(), Away>>()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(!seen(Operation::Clear, Outcome::Abandoned), "it is still under way");
        drop(waiting);
        assert!(seen(Operation::Clear, Outcome::Abandoned));
    }

    #[tokio::test]
    async fn a_list_fails_with_any_of_its_pieces() {
        let read = async |items: Vec<Result<u8, Away>>| {
            super::stream(Backend::Url, Operation::Scan, stream::iter(items)).count().await
        };
        assert_eq!(read(vec![Ok(1), Ok(2)]).await, 2);
        assert!(seen(Operation::Scan, Outcome::Ok) && !seen(Operation::Scan, Outcome::Unavailable));
        assert_eq!(read(vec![Ok(1), Err(Away)]).await, 2);
        assert!(seen(Operation::Scan, Outcome::Unavailable));
    }
}
