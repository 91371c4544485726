use super::*;

fn check(created: &str, condition: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("photos-check-{created}"), "creationTimestamp": format!("{created}T03:17:00Z"),
            "labels": { "app.kubernetes.io/component": "check" },
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "CronJob", "name": "photos-check", "uid": "1" }],
        },
        "status": {
            "succeeded": i32::from(condition == "Complete"),
            "conditions": [{ "type": condition, "status": "True", "message": "tried 4 times" }],
        },
    })
}

fn with_checks(checks: Vec<Value>) -> Cluster {
    let mut cluster = Cluster::serving("{}");
    let jobs = checks.into_iter().map(|job| (job["metadata"]["name"].as_str().unwrap().to_owned(), from(job)));
    cluster.observed.jobs = jobs.collect();
    cluster.reconcile();
    cluster
}

#[test]
fn a_check_that_has_failed_is_told_while_everything_serves() {
    let mut cluster = with_checks(vec![check("2026-01-01", "Complete"), check("2026-01-02", "Failed")]);
    assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"));
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::True, "Failing"));
    let told = "the last check, Job photos-check-2026-01-02, has failed: ";
    assert_eq!(cluster.condition("Degraded").message, format!("{told}tried 4 times"));
    cluster.observed.pods = vec![broken_pod("check-pod", "check", Some("photos-check-2026-01-02"))];
    cluster.reconcile();
    let reason = "pod check-pod: it ended with 1 (Error): it is all wrong";
    assert_eq!(cluster.condition("Degraded").message, format!("{told}{reason}"));
    // It is no repair.
    assert_eq!(cluster.says("StoresIntact"), (ConditionStatus::True, "VolumesKept"));
}

#[test]
fn a_later_check_that_went_well_ends_that() {
    let cluster = with_checks(vec![check("2026-01-01", "Failed"), check("2026-01-02", "Complete")]);
    assert_eq!(cluster.says("Degraded"), (ConditionStatus::False, "AsExpected"));
    // One that still runs says nothing yet.
    let cluster = with_checks(vec![check("2026-01-01", "Failed"), check("2026-01-02", "Suspended")]);
    assert!(cluster.condition("Degraded").message.contains("photos-check-2026-01-01"));
}
