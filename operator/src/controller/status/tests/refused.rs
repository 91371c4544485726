use super::*;

#[test]
fn what_is_kept_is_about_the_generation_that_it_was_made_for() {
    let mut cluster = Cluster::serving("{}");
    cluster.change("{ingestWorker: {allowNetworks: ['fd00::1::/8']}}");
    for _ in 0..2 {
        cluster.reconcile();
        assert_eq!(cluster.ready(), (ConditionStatus::False, "InvalidSpec"));
        assert_eq!(cluster.says("Degraded"), (ConditionStatus::True, "InvalidSpec"));
        for kind in ["Ready", "Progressing", "Degraded"] {
            assert_eq!(cluster.condition(kind).observed_generation, Some(2), "{kind}");
        }
        for kind in ["SearchApiReady", "QueueReady", "ModelCurrent", "StoresIntact", "ScalingActive"] {
            assert_eq!(cluster.condition(kind).observed_generation, Some(1), "{kind}");
        }
        assert_eq!((cluster.status.observed_generation, cluster.status.applied_generation), (Some(2), Some(1)));
    }
    assert!(cluster.condition("Ready").message.starts_with("spec.ingestWorker.allowNetworks: "));
}

#[test]
fn every_fault_is_told_and_one_that_time_does_not_mend_is_none_to_wait_for() {
    let mut cluster = Cluster::new(
        "{ingestWorker: {allowNetworks: ['fd00::1::/8']}, \
         model: {source: 'hf://org/model@1', tokenSecretRef: {name: later, key: token}}}",
    );
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "InvalidSpec"));
    let message = &cluster.condition("Ready").message;
    assert!(message.contains("fd00::1::/8") && message.contains("the Secret \"later\" is not there"), "{message}");
    assert_eq!(cluster.status.conditions.len(), 3, "nothing is known of the rest");
}
