use super::*;

#[test]
fn a_stack_is_ready_once_every_part_serves_what_the_spec_says() {
    let mut cluster = Cluster::new("{}");
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::True, "RollingOut"));
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.condition("Ready").message, "all roles serve generation 1");
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::False, "AsWanted"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
    assert_eq!((cluster.status.observed_generation, cluster.status.applied_generation), (Some(1), Some(1)));
}

#[test]
fn pods_of_the_last_generation_are_not_those_of_the_newest() {
    let mut cluster = Cluster::serving("{}");
    cluster.change("{image: 'imagesearch:next'}");
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
    assert!(cluster.condition("Ready").message.starts_with("IngestApi: "));
    assert_eq!(cluster.condition("Ready").observed_generation, Some(2));
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready").message, "all roles serve generation 2");
}

#[test]
fn a_child_that_can_t_be_applied_is_told_and_is_not_served() {
    let mut cluster = Cluster::serving("{}");
    cluster.change("{searchApi: {labels: {a: b}}}");
    cluster.failures.push(Failure {
        component: "searchapi".into(),
        child: "Deployment photos-searchapi".into(),
        reason: "a quota".into(),
    });
    cluster.reconcile();
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Failing"));
    assert_eq!(cluster.condition("Degraded").message, "Deployment photos-searchapi could not be applied: a quota");
    assert_eq!(cluster.status.applied_generation, Some(1));
}

#[test]
fn a_pod_that_can_t_work_is_told_by_its_part_and_by_the_whole() {
    let mut cluster = Cluster::serving("{}");
    cluster.change("{cdnApi: {labels: {a: b}}}");
    cluster.observed.pods = vec![broken_pod("photos-cdnapi-2", "cdnapi", None)];
    cluster.reconcile();
    let told = "pod photos-cdnapi-2: CrashLoopBackOff: it ended with 1 (Error): it is all wrong";
    assert_eq!(cluster.says("CdnApiReady"), (ConditionStatus::False, "PodsFailing"));
    for kind in ["CdnApiReady", "Ready", "Degraded"] {
        assert_eq!(cluster.condition(kind).message, told, "{kind}");
    }
}

#[test]
fn stores_that_somebody_else_runs_are_waited_for_by_nobody() {
    let mut cluster = Cluster::new(PRODUCTION);
    cluster.reconcile();
    for kind in ["ObjectStoreReady", "QueueReady", "IndexReady"] {
        assert_eq!(cluster.says(kind), (ConditionStatus::True, "External"));
    }
}

#[test]
fn nothing_new_is_said_of_a_stack_that_stays_as_it_is() {
    let mut cluster = Cluster::serving("{}");
    let before = cluster.status.clone();
    cluster.reconcile();
    assert_eq!(cluster.status, before);
}
