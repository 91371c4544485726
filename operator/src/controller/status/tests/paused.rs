use super::*;

#[test]
fn a_paused_stack_serves_the_spec_that_was_applied_and_no_newer_one() {
    let mut cluster = Cluster::serving("{}");
    cluster.paused = true;
    cluster.change("{image: 'imagesearch:next', ingress: {host: photos.example.com}}");
    // However often it is looked at.
    for _ in 0..2 {
        cluster.reconcile();
        assert_eq!(cluster.ready(), (ConditionStatus::False, "Paused"));
        assert_eq!(
            cluster.condition("Ready").message,
            "generation 2 is not applied: paused by the annotation imagesearch.dev/paused; what runs is of generation 1"
        );
        assert_eq!((cluster.status.observed_generation, cluster.status.applied_generation), (Some(2), Some(1)));
        assert_eq!(cluster.says("SearchApiReady"), (ConditionStatus::True, "Serving"));
        assert_eq!(cluster.condition("SearchApiReady").observed_generation, Some(1));
        assert_eq!(cluster.status.endpoints.as_ref().unwrap().external, None, "no Ingress was made");
    }
    cluster.paused = false;
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready").message, "all roles serve generation 2");
    assert!(cluster.status.endpoints.as_ref().unwrap().external.is_some());
}

#[test]
fn a_paused_stack_whose_spec_stays_is_as_ready_as_it_was() {
    let mut cluster = Cluster::serving("{}");
    cluster.paused = true;
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::False, "Paused"));
    cluster.deployment("photos-searchapi").status.as_mut().unwrap().available_replicas = None;
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
}

#[test]
fn a_stack_that_is_paused_from_the_first_is_not_ready() {
    let mut cluster = Cluster::new("{}");
    cluster.paused = true;
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Paused"));
    assert_eq!(
        cluster.condition("Ready").message,
        "generation 1 is not applied: paused by the annotation imagesearch.dev/paused"
    );
}

/// What was refused was seen and not applied: it is as little served when it would do by now.
#[test]
fn a_spec_that_was_refused_before_the_pause_is_not_served() {
    let mut cluster = Cluster::serving("{}");
    cluster.change("{model: {source: 'hf://org/model@1', tokenSecretRef: {name: later, key: token}}}");
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Waiting"));
    cluster.paused = true;
    cluster.observed.secrets.extend([secret("later", &[("token", "t")])]);
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Paused"));
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Paused"));
    // What serves goes on serving, and no model is being fetched.
    assert_eq!(cluster.says("SearchApiReady"), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.status.model.as_ref().unwrap().summary, "bundled");
}
