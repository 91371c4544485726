use super::*;
use crate::{
    autoscaler::{Backlog, Hold},
    controller::status::events,
    crd::AutoscalingMode,
};

const WORKERS: &str = "photos-ingestworker";

pub(super) fn scaling(pending: u64, active: Result<(), Hold>) -> Scaling {
    let backlog = Backlog { pending, in_flight: 2, oldest_job_since: Some(Timestamp::UNIX_EPOCH) };
    Scaling { mode: AutoscalingMode::Lag, backlog: Some(backlog), progress: None, desired: Some(4), active }
}

fn ready_after_scaling(spec: &str, replicas: i32) {
    let mut cluster = Cluster::serving(spec);
    let before = cluster.status.clone();
    cluster.scale(WORKERS, replicas);
    // Before the controller of Deployments has seen it, while pods start, and when they serve.
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"), "not looked at");
    cluster.make_pods(WORKERS);
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"), "pods start");
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert!(events::between(&before, &cluster.status).is_empty());
}

#[test]
fn more_workers_for_more_jobs_are_no_roll_out() {
    ready_after_scaling("{}", 4);
    ready_after_scaling("{ingestWorker: {autoscaling: {minReplicas: 0}}}", 1);
    ready_after_scaling("{ingestWorker: {autoscaling: {mode: External}}}", 3);
}

#[test]
fn as_many_workers_as_there_have_to_be_are_waited_for() {
    let mut cluster = Cluster::new("{ingestWorker: {autoscaling: {minReplicas: 2}}}");
    cluster.reconcile();
    cluster.serve();
    let status = cluster.deployment(WORKERS).status.as_mut().unwrap();
    (status.available_replicas, status.ready_replicas) = (Some(1), Some(1));
    cluster.reconcile();
    assert_eq!(cluster.condition("IngestWorkerReady").message, "1 of 2 pods are ready");
    let mut fixed = Cluster::serving("{ingestWorker: {autoscaling: {mode: Fixed, maxReplicas: 3}}}");
    fixed.deployment(WORKERS).status.as_mut().unwrap().available_replicas = Some(2);
    fixed.reconcile();
    assert_eq!(fixed.condition("IngestWorkerReady").message, "2 of 3 pods are ready");
}

#[test]
fn a_change_of_the_workers_is_a_roll_out_however_many_there_are() {
    let mut cluster = Cluster::serving("{ingestWorker: {autoscaling: {minReplicas: 0}}}");
    cluster.scale(WORKERS, 2);
    cluster.serve();
    cluster.reconcile();
    cluster.change("{ingestWorker: {autoscaling: {minReplicas: 0}, labels: {a: b}}}");
    cluster.reconcile();
    assert_eq!(cluster.condition("IngestWorkerReady").message, "the last change has not been looked at yet");
    cluster.make_pods(WORKERS);
    cluster.deployment(WORKERS).status.as_mut().unwrap().updated_replicas = Some(1);
    cluster.reconcile();
    assert_eq!(cluster.condition("IngestWorkerReady").message, "1 pods of the last revision are still there");
}

#[test]
fn further_workers_that_can_t_work_are_told_and_the_others_serve() {
    let mut cluster = Cluster::serving("{}");
    cluster.scale(WORKERS, 4);
    cluster.make_pods(WORKERS);
    cluster.observed.pods = vec![broken_pod("photos-ingestworker-9", "ingestworker", None)];
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::True, "Failing"));
    assert!(cluster.condition("Degraded").message.contains("photos-ingestworker-9"));
}

#[test]
fn no_worker_that_can_work_is_one_too_few() {
    let mut cluster = Cluster::serving("{ingestWorker: {autoscaling: {minReplicas: 0}}}");
    cluster.scale(WORKERS, 1);
    cluster.make_pods(WORKERS);
    cluster.observed.pods = vec![broken_pod("photos-ingestworker-9", "ingestworker", None)];
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Failing"));
    assert_eq!(cluster.says("IngestWorkerReady"), (ConditionStatus::False, "PodsFailing"));
}

#[test]
fn more_pods_for_more_searches_are_no_roll_out() {
    let mut cluster = Cluster::serving("{searchApi: {autoscaling: {minReplicas: 1}}}");
    cluster.scale("photos-searchapi", 3);
    cluster.make_pods("photos-searchapi");
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
}

#[test]
fn what_was_read_last_stays_until_something_is_read() {
    let mut cluster = Cluster::serving("{}");
    cluster.scaling = Some(scaling(40, Ok(())));
    cluster.reconcile();
    let read = cluster.status.ingest.clone().unwrap();
    assert_eq!((read.lag, read.desired_replicas), (42, Some(4)));
    let active = cluster.condition("ScalingActive").clone();
    assert_eq!((active.status, active.message.as_str()), (ConditionStatus::True, "42 jobs waiting or in flight"));
    // Another process leads and has not looked yet; then it has looked in vain.
    cluster.scaling = None;
    cluster.reconcile();
    assert_eq!(cluster.status.ingest.as_ref(), Some(&read));
    assert_eq!(cluster.condition("ScalingActive"), &active);
    let unread = Hold::new("QueueUnreachable", "no answer");
    cluster.scaling = Some(Scaling { backlog: None, ..scaling(0, Err(unread)) });
    cluster.reconcile();
    assert_eq!(cluster.status.ingest.as_ref(), Some(&read));
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::False, "QueueUnreachable"));
}

#[test]
fn a_pause_keeps_the_lag_and_says_that_nothing_is_scaled() {
    let mut cluster = Cluster::serving("{}");
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::Unknown, "Starting"));
    cluster.scaling = Some(scaling(40, Ok(())));
    cluster.reconcile();
    (cluster.paused, cluster.scaling) = (true, None);
    cluster.reconcile();
    assert_eq!(cluster.status.ingest.as_ref().unwrap().lag, 42);
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::False, "Paused"));
    // It says so no longer than that is so.
    cluster.paused = false;
    cluster.reconcile();
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::Unknown, "Starting"));
}

#[test]
fn whoever_else_scales_is_named() {
    let mut cluster = Cluster::serving("{ingestWorker: {autoscaling: {mode: External}}}");
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::False, "External"));
    cluster.change("{ingestWorker: {autoscaling: {mode: Fixed}}}");
    cluster.reconcile();
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::False, "Fixed"));
    cluster.change("{}");
    cluster.reconcile();
    assert_eq!(cluster.says("ScalingActive"), (ConditionStatus::Unknown, "Starting"));
}
