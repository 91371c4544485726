use super::*;
use crate::controller::tests::validated;

const FETCHED: &str = "{model: {source: 'https://models.example.com/other.tar.gz'}}";

fn current(cluster: &Cluster) -> &str {
    &cluster.status.model.as_ref().unwrap().current.as_ref().unwrap().source
}

fn job_name() -> String {
    validated(FETCHED, &observed()).unwrap().model.job
}

fn with_job_status(cluster: &mut Cluster, status: Value) {
    cluster.observed.jobs.get_mut(&job_name()).unwrap().status = Some(from(status));
}

#[test]
fn the_newest_spec_is_not_served_while_its_model_is_fetched() {
    let mut cluster = Cluster::serving("{}");
    assert_eq!(current(&cluster), "bundled");
    cluster.change(FETCHED);
    cluster.reconcile();
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
    assert_eq!(cluster.condition("Ready").message, "IngestApi: waits for the model, which is being fetched");
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::True, "RollingOut"));
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Fetching"));
    assert_eq!(cluster.says("CdnApiReady"), (ConditionStatus::True, "Serving"), "it loads no model");
    assert_eq!(cluster.status.applied_generation, Some(1));
    // Searches are still answered, with the last one.
    assert_eq!(current(&cluster), "bundled");
    assert_eq!(cluster.status.model.as_ref().unwrap().summary, "other.tar.gz (fetching)");

    with_job_status(&mut cluster, json!({ "succeeded": 1 }));
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "RollingOut"));
    assert_eq!(current(&cluster), "bundled");
    cluster.serve();
    cluster.reconcile();
    assert_eq!(cluster.condition("Ready").message, "all roles serve generation 2");
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
    assert_eq!(current(&cluster), "https://models.example.com/other.tar.gz");
}

#[test]
fn a_fetch_that_fails_is_told_with_what_it_said_last() {
    let mut cluster = Cluster::serving("{}");
    cluster.change(FETCHED);
    cluster.observed.pods = vec![broken_pod("photos-model-x", "model", Some(&job_name()))];
    cluster.reconcile();
    let told = "pod photos-model-x: it ended with 1 (Error): it is all wrong";
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "FetchFailing"));
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Failing"));
    for kind in ["ModelCurrent", "Degraded", "Ready"] {
        assert_eq!(cluster.condition(kind).message, told, "{kind}");
    }
}

#[test]
fn a_job_that_was_given_up_is_told_after_its_pods_are_gone() {
    let mut cluster = Cluster::serving("{}");
    cluster.change(FETCHED);
    cluster.reconcile();
    let failed =
        json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "tried 7 times" });
    with_job_status(&mut cluster, json!({ "failed": 7, "conditions": [failed] }));
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "FetchFailing"));
    assert_eq!(cluster.condition("Degraded").message, format!("the Job {} has failed: tried 7 times", job_name()));
}

#[test]
fn the_fetch_of_a_model_that_is_no_longer_wanted_fails_nothing() {
    let mut cluster = Cluster::serving("{}");
    cluster.observed.pods = vec![broken_pod("photos-model-x", "model", Some(&job_name()))];
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
}
