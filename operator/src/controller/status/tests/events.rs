use kube::runtime::events::{Event, EventType};

use super::{scaling::scaling, *};
use crate::{autoscaler::Hold, controller::status::events::between};

/// What is told of a change: its reasons, those of warnings marked.
pub(super) fn told(events: Vec<Event>) -> Vec<String> {
    let shown = |event: Event| match event.type_ {
        EventType::Warning => format!("! {}", event.reason),
        EventType::Normal => event.reason,
    };
    events.into_iter().map(shown).collect()
}

/// What is told when a cluster is looked at after `change`.
pub(super) fn after(cluster: &mut Cluster, change: impl FnOnce(&mut Cluster)) -> Vec<String> {
    let before = cluster.status.clone();
    change(cluster);
    cluster.reconcile();
    told(between(&before, &cluster.status))
}

fn held(reason: &'static str) -> Scaling {
    scaling(0, Err(Hold::new(reason, "no answer")))
}

#[test]
fn what_is_only_starting_is_no_event() {
    let mut cluster = Cluster::new("{}");
    assert_eq!(after(&mut cluster, |_| {}), ["StoresIntactVolumesKept"]);
    // The queue is being started, as everything else is.
    assert!(after(&mut cluster, |cluster| cluster.scaling = Some(held("QueueUnreachable"))).is_empty());
    let ready = after(&mut cluster, Cluster::serve);
    assert!(ready.contains(&"Serving".to_owned()) && ready.contains(&"SearchApiServing".to_owned()), "{ready:?}");
    assert!(!ready.iter().any(|reason| reason.starts_with('!')), "{ready:?}");
}

#[test]
fn a_queue_that_refuses_is_told_from_the_first() {
    let mut cluster = Cluster::new("{}");
    cluster.reconcile();
    assert_eq!(
        after(&mut cluster, |cluster| cluster.scaling = Some(held("QueueRefused"))),
        ["! ScalingActiveQueueRefused"]
    );
}

#[test]
fn workers_that_are_no_longer_scaled_are_a_warning() {
    let mut cluster = Cluster::serving("{}");
    cluster.scaling = Some(scaling(0, Ok(())));
    cluster.reconcile();
    let held = after(&mut cluster, |cluster| cluster.scaling = Some(held("StoreNotReady")));
    assert_eq!(held, ["! ScalingActiveStoreNotReady"]);
    let read = after(&mut cluster, |cluster| cluster.scaling = Some(scaling(0, Ok(()))));
    assert_eq!(read, ["ScalingActiveLagRead"]);
    // Who pauses knows it.
    let paused = after(&mut cluster, |cluster| (cluster.paused, cluster.scaling) = (true, None));
    assert_eq!(paused, ["ScalingActivePaused"]);
}

#[test]
fn what_fails_is_a_warning_with_its_reason() {
    let mut cluster = Cluster::serving("{}");
    let failing = after(&mut cluster, |cluster| {
        cluster.change("{cdnApi: {labels: {a: b}}}");
        cluster.observed.pods = vec![broken_pod("photos-cdnapi-2", "cdnapi", None)];
    });
    assert_eq!(failing, ["! Failing", "! CdnApiPodsFailing"], "Degraded would say it a second time");
    let refused = after(&mut cluster, |cluster| cluster.change("{ingestWorker: {allowNetworks: ['fd00::1::/8']}}"));
    assert_eq!(refused, ["! InvalidSpec"]);
}

#[test]
fn what_fails_while_the_rest_serves_is_told_by_degraded() {
    let mut cluster = Cluster::serving("{}");
    let stuck = after(&mut cluster, |cluster| {
        cluster.scale("photos-ingestworker", 4);
        cluster.make_pods("photos-ingestworker");
        cluster.observed.pods = vec![broken_pod("photos-ingestworker-9", "ingestworker", None)];
    });
    assert_eq!(stuck, ["! DegradedFailing"]);
}

#[test]
fn nothing_is_told_twice() {
    let mut cluster = Cluster::serving("{}");
    assert!(after(&mut cluster, |_| {}).is_empty());
    // Another number of jobs is no news.
    cluster.scaling = Some(scaling(7, Ok(())));
    cluster.reconcile();
    assert!(after(&mut cluster, |cluster| cluster.scaling = Some(scaling(900, Ok(())))).is_empty());
}
