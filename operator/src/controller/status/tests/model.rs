use std::time::Duration;

use super::{
    events::{after, told},
    *,
};
use crate::{
    autoscaler::{Known, Progress},
    controller::{names, stack::Model, status::events::between, tests::validated},
    crd::{AutoscalingMode, BesideState, ModelBeside, ModelStatus, Slot},
};

const FETCHED: &str = "{model: {source: 'https://models.example.com/other.tar.gz'}}";
const SOURCE: &str = "https://models.example.com/other.tar.gz";

fn wanted() -> Model {
    validated(FETCHED, &observed()).unwrap().model
}

fn fill_job() -> String {
    wanted().fill_job("photos")
}

fn model(cluster: &Cluster) -> &ModelStatus {
    cluster.status.model.as_ref().unwrap()
}

/// What searches use, by source and slot.
fn current(cluster: &Cluster) -> (&str, Slot) {
    let current = model(cluster).current.as_ref().unwrap();
    (&current.model.choice.source, current.slot)
}

fn beside(cluster: &Cluster) -> &ModelBeside {
    model(cluster).beside.as_ref().unwrap()
}

fn message<'a>(cluster: &'a Cluster, kind: &str) -> &'a str {
    &cluster.condition(kind).message
}

fn succeeded() -> Value {
    json!({ "succeeded": 1 })
}

fn failed() -> Value {
    let failed = json!({ "type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 6" });
    json!({ "failed": 1, "conditions": [failed] })
}

/// A stack that serves, whose model is being changed.
fn changing() -> Cluster {
    let mut cluster = Cluster::serving("{}");
    cluster.change(FETCHED);
    cluster.reconcile();
    cluster
}

/// The next model is fetched, and its collection about to be filled.
fn building() -> Cluster {
    let mut cluster = changing();
    cluster.end(&wanted().job, succeeded());
    cluster.reconcile();
    cluster
}

/// Everybody knows of it, and the Job runs.
fn filling() -> Cluster {
    let mut cluster = building();
    cluster.serve();
    cluster.reconcile();
    cluster
}

/// Its collection is filled, and its searchapi starts.
fn loading() -> Cluster {
    let mut cluster = filling();
    cluster.end(&fill_job(), succeeded());
    cluster.reconcile();
    cluster
}

/// Searches use it.
fn kept() -> Cluster {
    let mut cluster = loading();
    cluster.serve();
    cluster.reconcile();
    cluster
}

fn refused() -> Cluster {
    let mut cluster = filling();
    cluster.end(&fill_job(), failed());
    cluster.reconcile();
    cluster
}

fn serves(cluster: &Cluster) {
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"), "{}", message(cluster, "Ready"));
    assert_eq!(message(cluster, "Ready"), format!("all roles serve generation {}", cluster.generation));
    assert_eq!(cluster.status.applied_generation, Some(cluster.generation));
}

fn progress(percent: u8) -> Scaling {
    let known = |source: &str, fingerprint: &str| Known { source: source.into(), fingerprint: fingerprint.into() };
    let progress = Progress {
        model: known(SOURCE, "c3d4"),
        current: known("bundled", "a1b2"),
        indexed: u64::from(percent) * 1000,
        images: 100_240,
        percent: Some(percent),
        expected_at: Some(Timestamp::UNIX_EPOCH),
    };
    Scaling { mode: AutoscalingMode::Lag, backlog: None, progress: Some(progress), desired: Some(1), active: Ok(()) }
}

#[test]
fn the_first_model_is_waited_for() {
    let mut cluster = Cluster::new(FETCHED);
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Starting"));
    cluster.serve();
    cluster.reconcile();
    assert_eq!(message(&cluster, "Ready"), "IngestApi: waits for the model, which is being fetched");
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::True, "RollingOut"));
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Fetching"));
    assert_eq!(cluster.says("CdnApiReady"), (ConditionStatus::True, "Serving"), "it loads no model");
    assert_eq!((cluster.status.applied_generation, &model(&cluster).current), (None, &None));
    assert_eq!(model(&cluster).summary, "other.tar.gz (fetching)");
    assert_eq!(model(&cluster).target.as_ref().unwrap().choice.source, SOURCE);

    cluster.end(&wanted().job, succeeded());
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "RollingOut"));
    cluster.serve();
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
    assert_eq!((current(&cluster), model(&cluster).summary.as_str()), ((SOURCE, Slot::A), "other.tar.gz"));
    assert_eq!(model(&cluster).target, None);
}

#[test]
fn a_first_fetch_that_fails_is_told_with_what_it_said_last() {
    let mut cluster = Cluster::new(FETCHED);
    cluster.observed.pods = vec![broken_pod("photos-model-x", "model", Some(&wanted().job))];
    cluster.reconcile();
    let told = "pod photos-model-x: it ended with 1 (Error): it is all wrong";
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "FetchFailing"));
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Failing"));
    for kind in ["ModelCurrent", "Degraded", "Ready"] {
        assert_eq!(message(&cluster, kind), told, "{kind}");
    }
}

#[test]
fn a_job_that_was_given_up_is_told_after_its_pods_are_gone() {
    let mut cluster = changing();
    cluster.end(&wanted().job, failed());
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "FetchFailing"));
    assert_eq!(message(&cluster, "Degraded"), format!("the Job {} has failed: exit code 6", wanted().job));
    // The model of before is there.
    serves(&cluster);
}

#[test]
fn the_fetch_of_a_model_that_is_no_longer_wanted_fails_nothing() {
    let mut cluster = Cluster::serving("{}");
    cluster.observed.pods = vec![broken_pod("photos-model-x", "model", Some(&wanted().job))];
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
}

#[test]
fn another_model_is_fetched_while_everything_serves() {
    let cluster = changing();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Fetching"));
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::True, "ModelChange"));
    let fetching = format!("changing to other.tar.gz: {SOURCE} is being fetched into the object store");
    assert_eq!(message(&cluster, "Progressing"), fetching);
    assert_eq!(
        (current(&cluster), model(&cluster).summary.as_str()),
        (("bundled", Slot::A), "other.tar.gz (fetching)")
    );
    assert_eq!(model(&cluster).target.as_ref().unwrap().choice.source, SOURCE);
    assert_eq!(model(&cluster).beside, None);
}

#[test]
fn it_is_indexed_with_once_everybody_knows_of_it() {
    let mut cluster = building();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Reindexing"));
    let waits = format!("waits until every ingestapi and every ingestworker knows of {SOURCE}");
    assert_eq!(message(&cluster, "ModelCurrent"), waits);
    assert_eq!((beside(&cluster).state, model(&cluster).summary.as_str()), (BesideState::Building, "other.tar.gz"));
    cluster.reconcile();
    assert!(!cluster.observed.jobs.contains_key(&fill_job()), "ingestapi has not rolled yet");

    cluster.serve();
    cluster.reconcile();
    assert_eq!(message(&cluster, "ModelCurrent"), "nothing is indexed yet");
    cluster.scaling = Some(progress(87));
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(message(&cluster, "ModelCurrent"), "87 % of 100240 images");
    assert_eq!(message(&cluster, "Progressing"), "re-indexing with other.tar.gz: 87 % of 100240 images");
    assert_eq!(model(&cluster).summary, "other.tar.gz (87 %)");
    let told = model(&cluster).progress.clone().unwrap();
    assert_eq!((told.indexed, told.images, told.percent), (87_000, 100_240, Some(87)));
    assert_eq!(model(&cluster).current.as_ref().unwrap().model.fingerprint.as_deref(), Some("a1b2"));
    for known in [&model(&cluster).target.as_ref().unwrap(), &&beside(&cluster).model] {
        assert_eq!(known.fingerprint.as_deref(), Some("c3d4"));
    }
    // Another process leads, and has not looked yet.
    let before = cluster.status.clone();
    cluster.scaling = None;
    cluster.reconcile();
    assert_eq!(cluster.status.model, before.model);
}

#[test]
fn searches_move_when_its_searchapi_serves() {
    let mut cluster = loading();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Loading"));
    assert_eq!(message(&cluster, "ModelCurrent"), format!("the searchapi with {SOURCE}: has not been looked at yet"));
    assert_eq!(current(&cluster), ("bundled", Slot::A));
    let before = cluster.status.clone();
    cluster.serve();
    cluster.reconcile();
    serves(&cluster);
    let after = cluster.status.clone();
    // Broken off before the status was written, it comes to the same.
    cluster.status = before;
    cluster.reconcile();
    assert_eq!(cluster.status, after);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
    assert_eq!(cluster.says("Progressing"), (ConditionStatus::False, "AsWanted"));
    assert_eq!((current(&cluster), model(&cluster).summary.as_str()), ((SOURCE, Slot::B), "other.tar.gz"));
    assert_eq!((&model(&cluster).target, &model(&cluster).progress), (&None, &None));
    assert_eq!(
        (beside(&cluster).state, beside(&cluster).until.as_ref().unwrap().0.as_second()),
        (BesideState::Kept, 3600)
    );
    cluster.reconcile();
    assert!(!cluster.observed.jobs.contains_key(&fill_job()), "it is done");
    // Conditions are about the pods that searches go to.
    cluster.deployment("photos-searchapi-b").status = None;
    cluster.reconcile();
    assert_eq!(cluster.says("SearchApiReady").0, ConditionStatus::False);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "RollingOut"));
}

#[test]
fn going_back_takes_a_moment() {
    let mut cluster = kept();
    cluster.serve();
    cluster.reconcile();
    cluster.change("{}");
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Loading"));
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
    assert_eq!((current(&cluster), beside(&cluster).state), (("bundled", Slot::A), BesideState::Kept));
    assert_eq!(beside(&cluster).model.choice.source, SOURCE);
    // And forth.
    cluster.serve();
    cluster.change(FETCHED);
    for _ in 0..2 {
        cluster.reconcile();
        serves(&cluster);
    }
    assert_eq!((current(&cluster), model(&cluster).summary.as_str()), ((SOURCE, Slot::B), "other.tar.gz"));
}

#[test]
fn what_is_no_longer_kept_is_removed_after_its_pods() {
    let mut cluster = kept();
    cluster.serve();
    cluster.observed.now = Timestamp::UNIX_EPOCH + Duration::from_hours(1);
    let job = names::remove_job("photos", &beside(&cluster).model.choice);
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(beside(&cluster).state, BesideState::Leaving);
    assert!(!cluster.observed.deployments.contains_key("photos-searchapi"));
    assert!(!cluster.observed.jobs.contains_key(&job), "ingestapi has not rolled yet");
    cluster.serve();
    cluster.reconcile();
    cluster.end(&job, succeeded());
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(model(&cluster).beside, None);
    cluster.reconcile();
    assert!(!cluster.observed.jobs.contains_key(&job), "it is done");
    let left: Vec<&str> = cluster.observed.deployments.keys().map(String::as_str).collect();
    assert_eq!(
        left,
        ["photos-cdnapi", "photos-frontend", "photos-ingestapi", "photos-ingestworker-b", "photos-searchapi-b"]
    );
    serves(&cluster);
}

#[test]
fn a_third_model_waits_for_the_removal_of_the_first() {
    let mut cluster = kept();
    cluster.serve();
    cluster.reconcile();
    cluster.change("{model: {source: 's3://models/third'}}");
    for state in [BesideState::Kept, BesideState::Leaving] {
        cluster.reconcile();
        serves(&cluster);
        assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Fetching"));
        assert_eq!((beside(&cluster).state, model(&cluster).summary.as_str()), (state, "third (fetching)"));
    }
    let job = cluster.observed.jobs.keys().find(|job| job.starts_with("photos-model-")).unwrap().clone();
    cluster.end(&job, succeeded());
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Removing"));
    assert_eq!(message(&cluster, "ModelCurrent"), "s3://models/third comes after what bundled had indexed is removed");
    assert_eq!((current(&cluster), model(&cluster).summary.as_str()), ((SOURCE, Slot::B), "other.tar.gz"));
}

#[test]
fn a_change_of_mind_while_it_is_built_is_one() {
    let mut cluster = filling();
    cluster.scaling = Some(progress(87));
    cluster.reconcile();
    cluster.change("{}");
    for state in [BesideState::Building, BesideState::Leaving] {
        cluster.reconcile();
        serves(&cluster);
        assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
        assert_eq!((beside(&cluster).state, model(&cluster).summary.as_str()), (state, "bundled"));
    }
    assert_eq!((&model(&cluster).progress, &model(&cluster).target), (&None, &None));
}

#[test]
fn a_model_that_is_refused_is_told_and_the_model_of_before_serves() {
    let mut cluster = filling();
    let mut pod = broken_pod("photos-fill-x", "modelchange", Some(&fill_job()));
    pod.status.as_mut().unwrap().phase = Some("Failed".into());
    cluster.observed.pods = vec![pod];
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Reindexing"), "another try may help");
    let words = "pod photos-fill-x: it ended with 1 (Error): it is all wrong";
    assert_eq!(message(&cluster, "ModelCurrent"), words);
    cluster.end(&fill_job(), failed());
    for _ in 0..2 {
        cluster.reconcile();
        serves(&cluster);
        assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Refused"));
        let told = format!("{words}; delete the Job {} to try again", fill_job());
        for kind in ["ModelCurrent", "Degraded"] {
            assert_eq!(message(&cluster, kind), told, "{kind}");
        }
        assert_eq!((current(&cluster), model(&cluster).summary.as_str()), (("bundled", Slot::A), "bundled"));
        assert_eq!(beside(&cluster).state, BesideState::Leaving);
    }
}

#[test]
fn a_refused_model_is_tried_again_when_its_job_is_deleted() {
    let mut cluster = refused();
    cluster.serve();
    cluster.reconcile();
    cluster.end(&names::remove_job("photos", &wanted().wanted), succeeded());
    for _ in 0..3 {
        cluster.reconcile();
        assert_eq!(model(&cluster).beside, None);
        assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Refused"));
        let reason = format!("exit code 6; delete the Job {} to try again", fill_job());
        assert_eq!(message(&cluster, "ModelCurrent"), reason, "its pods are gone");
    }
    cluster.observed.jobs.remove(&fill_job());
    cluster.reconcile();
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Reindexing"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
}

#[test]
fn a_refused_model_that_is_no_longer_wanted_is_forgotten() {
    let mut cluster = refused();
    cluster.change("{}");
    for _ in 0..3 {
        cluster.serve();
        cluster.reconcile();
    }
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::True, "Current"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
    assert!(!cluster.observed.jobs.contains_key(&fill_job()));
}

#[test]
fn nothing_moves_while_the_stack_is_paused() {
    let mut cluster = loading();
    cluster.serve();
    cluster.paused = true;
    cluster.reconcile();
    assert_eq!((current(&cluster), beside(&cluster).state), (("bundled", Slot::A), BesideState::Building));
    assert_eq!(cluster.says("ModelCurrent"), (ConditionStatus::False, "Paused"));
    serves(&cluster);
    cluster.paused = false;
    cluster.reconcile();
    assert_eq!(current(&cluster), (SOURCE, Slot::B));
}

#[test]
fn pods_of_the_next_model_that_can_t_work_are_told() {
    let mut cluster = filling();
    cluster.observed.pods = vec![broken_pod("photos-ingestworker-b-1", "ingestworker-b", None)];
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::True, "Failing"));
    assert!(message(&cluster, "Degraded").starts_with("pod photos-ingestworker-b-1: CrashLoopBackOff"));
}

#[test]
fn pods_that_don_t_come_up_with_two_models_are_told_and_those_of_before_serve() {
    let mut cluster = building();
    cluster.observed.pods = vec![broken_pod("photos-ingestapi-2", "ingestapi", None)];
    cluster.reconcile();
    serves(&cluster);
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::True, "Failing"));
    assert!(message(&cluster, "Degraded").starts_with("pod photos-ingestapi-2: CrashLoopBackOff"));
    // With too few of them it doesn't serve.
    cluster.deployment("photos-ingestapi").status.as_mut().unwrap().available_replicas = None;
    cluster.reconcile();
    assert_eq!(cluster.ready(), (ConditionStatus::False, "Failing"));
}

#[test]
fn each_step_is_told_once() {
    let mut cluster = Cluster::serving("{}");
    let fetching = after(&mut cluster, |cluster| cluster.change(FETCHED));
    assert_eq!(fetching, ["ModelCurrentFetching"]);
    let reindexing = after(&mut cluster, |cluster| cluster.end(&wanted().job, succeeded()));
    assert_eq!(reindexing, ["ModelCurrentReindexing"]);
    assert!(after(&mut cluster, Cluster::serve).is_empty());
    assert!(
        after(&mut cluster, |cluster| cluster.scaling = Some(progress(50)))
            .iter()
            .all(|event| !event.contains("Model"))
    );
    assert_eq!(after(&mut cluster, |cluster| cluster.end(&fill_job(), succeeded())), ["ModelCurrentLoading"]);
    assert_eq!(after(&mut cluster, Cluster::serve), ["ModelCurrentCurrent"]);
    assert!(after(&mut cluster, Cluster::serve).is_empty());
    let later = Timestamp::UNIX_EPOCH + Duration::from_hours(1);
    assert!(after(&mut cluster, |cluster| cluster.observed.now = later).is_empty());
}

#[test]
fn a_refusal_is_a_warning() {
    let before = filling();
    let after = refused();
    assert_eq!(told(between(&before.status, &after.status)), ["! DegradedFailing", "! ModelCurrentRefused"]);
}
