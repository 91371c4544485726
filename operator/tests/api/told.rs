//! What the operator tells: events, logs, metrics.

use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::{Map, Value, json};

use super::{
    process::{Operator, until},
    world::{DEADLINE, World},
};

/// Taken by the rules of the resource, and refused by those of a Deployment.
fn refused_child() -> Value {
    json!({ "nodeSelector": { "not a key": "x" } })
}

impl World {
    /// Type and note of the newest event of that reason.
    async fn event(&self, reason: &str) -> (String, String) {
        let event = until(DEADLINE, &format!("an event {reason}"), async || {
            let events = self.all::<Event>().list(&ListParams::default()).await.unwrap();
            events.items.into_iter().find(|event| event.reason.as_deref() == Some(reason))
        })
        .await;
        let regarding = event.regarding.unwrap();
        assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("ImageSearchStack"), Some("photos")));
        assert_eq!(event.reporting_controller.as_deref(), Some("imagesearch-operator"));
        (event.type_.unwrap(), event.note.unwrap())
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn events_say_what_is_wrong_and_with_what() {
    let external = json!({ "bucket": "photos", "credentialsSecretRef": { "name": "s3" } });
    let store = json!({ "type": "External", "external": external });
    let (world, _operator) = World::with_stack(json!({ "objectStore": store })).await;
    let (kind, note) = world.event("Waiting").await;
    assert_eq!(kind, "Warning");
    assert_eq!(note, "spec.objectStore.external.credentialsSecretRef: the Secret \"s3\" is not there");

    let secret = json!({
        "metadata": { "name": "s3" }, "stringData": { "access-key-id": "a", "secret-access-key": "b" },
    });
    world.all::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    assert_eq!(world.event("Starting").await.0, "Normal");

    world.apply("photos", Some(json!({ "objectStore": store, "searchApi": refused_child() }))).await.unwrap();
    let (kind, note) = world.event("Failing").await;
    assert_eq!(kind, "Warning");
    assert!(note.starts_with("Deployment photos-searchapi could not be applied: "), "{note}");
    assert!(note.contains("not a key"), "{note}");

    let spec = json!({ "objectStore": store, "ingestApi": { "maxUploadSize": "0" } });
    world.apply("photos", Some(spec)).await.unwrap();
    let (kind, note) = world.event("InvalidSpec").await;
    assert_eq!(kind, "Warning");
    assert_eq!(note, "spec.ingestApi.maxUploadSize: \"0\" is not a size such as 50Mi");
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn logs_are_lines_of_json_and_tell_no_secret() {
    let world = World::start().await;
    let mut operator = Operator::with(&world, &[("IMAGESEARCH_OPERATOR_LOG", "debug")]);
    world.apply("photos", Some(json!({}))).await.unwrap();
    world.until_settled().await;
    let spec = json!({ "rotateCredentials": "again", "ingestApi": refused_child() });
    world.apply("photos", Some(spec)).await.unwrap();
    until(DEADLINE, "a failure is told", async || {
        operator.logs().contains("a stack could not be reconciled").then_some(())
    })
    .await;
    let secrets = world.secrets().await;
    for name in ["photos-queue-credentials", "photos-objectstore-credentials", "photos-key-admin"] {
        assert!(secrets.iter().any(|(secret, _)| secret == name), "{name} has no secrets");
    }
    operator.kill();
    let logs = operator.logs();
    for line in logs.lines() {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for field in ["time", "level", "target", "message"] {
            assert!(line.get(field).is_some_and(Value::is_string), "{line:?} has no {field}");
        }
    }
    for (name, secret) in secrets {
        assert!(!logs.contains(&secret), "what is in the Secret {name} is logged");
    }
}

impl World {
    /// Everything in a Secret that is a password, a key or the like, before the last rotation as well.
    async fn secrets(&self) -> Vec<(String, String)> {
        let all = self.all::<Secret>().list(&ListParams::default()).await.unwrap();
        let entries = all.items.iter().flat_map(|secret| {
            let data = secret.data.iter().flatten();
            data.map(|(entry, value)| (secret.name_any(), entry, String::from_utf8(value.0.clone()).unwrap()))
        });
        // A file has the others in it; when a key was made is none.
        let single = entries.filter(|(_, entry, value)| !entry.contains('.') && *entry != "created" && value.len() > 8);
        single.map(|(name, _, value)| (name, value)).collect()
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_it_does_is_counted() {
    let world = World::start().await;
    let ports = servers::Ports::reserve();
    let admin = format!("127.0.0.1:{}", ports.first());
    let _operator = Operator::with(&world, &[("IMAGESEARCH_OPERATOR_ADMIN", &admin)]);
    world.apply("photos", Some(json!({}))).await.unwrap();
    let counted = async |metric: &str| {
        let page = reqwest::get(format!("http://{admin}/metrics")).await.ok()?.text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("imagesearch_operator_{metric} ")))?;
        Some(line.parse::<f64>().unwrap())
    };
    until(DEADLINE, "a reconcile is counted", async || {
        (counted("reconciles_total").await? > 0.0 && counted("reconcile_duration_seconds_count").await? > 0.0)
            .then_some(())
    })
    .await;
    assert!(counted("reconcile_duration_seconds_sum").await.unwrap() > 0.0);
    assert_eq!(counted("leading").await, Some(1.0));
    let failed = "reconcile_errors_total{reason=\"children\"}";
    assert_eq!(counted(failed).await, Some(0.0));
    world.apply("photos", Some(json!({ "searchApi": refused_child() }))).await.unwrap();
    until(DEADLINE, "a failure is counted", async || (counted(failed).await? > 0.0).then_some(())).await;
}
