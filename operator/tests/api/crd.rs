//! The resource as its users meet it: what may be left out, what is filled in, and what is refused with which words.

use serde_json::{Value, json};

use super::world::World;

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn nothing_has_to_be_said() {
    let world = World::start().await;
    for spec in [None, Some(json!({}))] {
        let stack = world.dry_run("photos", spec).await.unwrap();
        let filled = serde_json::to_value(&stack.spec).unwrap();
        assert_eq!(filled["model"]["source"], "bundled");
        assert_eq!(filled["queue"]["type"], "Managed");
        assert_eq!(filled["ingestWorker"]["autoscaling"]["mode"], "Lag");
        assert_eq!(filled["ingestWorker"]["autoscaling"]["minReplicas"], 1);
        assert_eq!(filled["auth"]["keys"], json!([{ "name": "admin", "scopes": ["admin"] }]));
        assert_eq!(filled["deletionPolicy"], "Retain");
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_managed_store_has_its_size_filled_in() {
    let world = World::start().await;
    let stack = world.dry_run("photos", Some(json!({ "queue": { "managed": { "replicas": 3 } } }))).await.unwrap();
    assert_eq!(stack.spec.queue.managed.unwrap().storage, "10Gi");
}

/// Each with what it is refused for, as `kubectl` prints it.
fn refused() -> Vec<(Value, &'static str)> {
    let external_queue = json!({ "url": "nats://nats:4222" });
    let external_index = json!({ "url": "http://milvus:19530" });
    let bucket = json!({ "bucket": "photos" });
    vec![
        (
            json!({ "queue": { "type": "External" } }),
            "spec.queue: Invalid value: external must be set when type is External, and managed must not",
        ),
        (
            json!({ "queue": { "type": "External", "external": external_queue, "managed": {} } }),
            "external must be set when type is External, and managed must not",
        ),
        (json!({ "queue": { "external": external_queue } }), "external must not be set when type is Managed"),
        (json!({ "index": { "external": external_index } }), "spec.index: Invalid value: external must be set"),
        (json!({ "objectStore": { "type": "External" } }), "spec.objectStore: Invalid value: external must be set"),
        (
            json!({ "objectStore": { "type": "External", "external": bucket, "managed": {} } }),
            "spec.objectStore: Invalid value: external must be set",
        ),
        (json!({ "queue": { "type": "Mine" } }), "spec.queue.type: Unsupported value: \"Mine\""),
        (json!({ "queue": { "managed": { "replicas": 2 } } }), "spec.queue.managed.replicas: Unsupported value: 2"),
        (json!({ "queue": { "managed": { "storage": "much" } } }), "spec.queue.managed.storage"),
        (
            json!({ "ingestWorker": { "autoscaling": { "minReplicas": 5, "maxReplicas": 2 } } }),
            "spec.ingestWorker.autoscaling: Invalid value: minReplicas must not be more than maxReplicas",
        ),
        (
            json!({ "searchApi": { "autoscaling": { "minReplicas": 5, "maxReplicas": 2 } } }),
            "spec.searchApi.autoscaling: Invalid value: minReplicas must not be more than maxReplicas",
        ),
        (
            json!({ "searchApi": { "replicas": 2, "autoscaling": {} } }),
            "spec.searchApi: Invalid value: replicas and autoscaling exclude each other",
        ),
        (
            json!({ "ingestApi": { "replicas": 2, "autoscaling": {} } }),
            "spec.ingestApi: Invalid value: replicas and autoscaling exclude each other",
        ),
        (
            json!({ "cdnApi": { "replicas": 2, "autoscaling": {} } }),
            "spec.cdnApi: Invalid value: replicas and autoscaling exclude each other",
        ),
        (
            json!({ "frontend": { "replicas": 2, "autoscaling": {} } }),
            "spec.frontend: Invalid value: replicas and autoscaling exclude each other",
        ),
        (
            json!({ "ingestWorker": { "autoscaling": { "scaleDownDelay": "soon" } } }),
            "spec.ingestWorker.autoscaling.scaleDownDelay",
        ),
        (json!({ "ingestApi": { "maxUploadSize": "5 MB" } }), "spec.ingestApi.maxUploadSize"),
        (json!({ "model": { "source": "clip" } }), "spec.model.source"),
        (
            json!({ "model": { "tokenSecretRef": { "name": "hub", "key": "token" } } }),
            "spec.model: Invalid value: tokenSecretRef is for models that are fetched",
        ),
        (
            json!({ "ingress": { "type": "Gateway" } }),
            "spec.ingress: Invalid value: parentRefs must name a Gateway when type is Gateway",
        ),
        (
            json!({ "ingress": { "type": "Gateway", "parentRefs": [{ "name": "g" }], "className": "nginx" } }),
            "className and tlsSecretName are for type Ingress",
        ),
        (
            json!({ "ingress": { "parentRefs": [{ "name": "g" }] } }),
            "spec.ingress: Invalid value: parentRefs is for type Gateway",
        ),
        (json!({ "ingress": { "host": "not a host" } }), "spec.ingress.host"),
        (json!({ "auth": { "keys": [] } }), "spec.auth: Invalid value: keys must name a key at least"),
        (
            json!({ "auth": { "keys": [{ "name": "a", "scopes": ["root"] }] } }),
            "spec.auth.keys[0].scopes[0]: Unsupported value",
        ),
        (
            json!({ "auth": { "keys": [{ "name": "a", "scopes": ["read"] }, { "name": "a", "scopes": ["read"] }] } }),
            "duplicate entries for key",
        ),
        (
            json!({ "observability": { "traces": { "endpoint": "http://alloy:4317", "sampleRatio": "2" } } }),
            "spec.observability.traces.sampleRatio",
        ),
        (json!({ "networkPolicy": "Maybe" }), "spec.networkPolicy: Unsupported value: \"Maybe\""),
        (json!({ "imgae": "x" }), ".spec.imgae: field not declared in schema"),
    ]
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn nonsense_is_refused_with_a_sentence() {
    let world = World::start().await;
    for (spec, words) in refused() {
        let error = world.dry_run("photos", Some(spec.clone())).await.expect_err(&format!("{spec} is taken"));
        assert!(error.to_string().contains(words), "{spec}\n  is refused with {error}\n  and not with {words}");
    }
}

/// From one spec to another, and what that is refused for.
fn refused_changes() -> Vec<(Value, Value, &'static str)> {
    let external = |bucket: &str, prefix: Option<&str>| {
        let mut external = json!({ "bucket": bucket });
        if let Some(prefix) = prefix {
            external["prefix"] = json!(prefix);
        }
        json!({ "objectStore": { "type": "External", "external": external } })
    };
    let index = |database: &str| json!({ "index": { "type": "External", "external": { "url": "http://m:19530", "database": database } } });
    let queue = json!({ "queue": { "type": "External", "external": { "url": "nats://n:4222" } } });
    let named = json!({ "queue": { "type": "External", "external": { "url": "nats://n:4222", "name": "other" } } });
    vec![
        (json!({}), queue.clone(), "type can't be changed"),
        (queue.clone(), json!({}), "type can't be changed"),
        (queue, named, "name can't be changed"),
        (json!({}), external("photos", None), "type can't be changed"),
        (external("photos", None), external("pictures", None), "bucket and prefix can't be changed"),
        (external("photos", None), external("photos", Some("a/")), "bucket and prefix can't be changed"),
        (index("photos"), index("other"), "database and prefix can't be changed"),
        (
            json!({}),
            json!({ "objectStore": { "managed": { "engine": "SeaweedFS" } } }),
            "managed.engine can't be changed",
        ),
        (
            json!({ "objectStore": { "managed": { "engine": "SeaweedFS" } } }),
            json!({}),
            "managed.engine can't be changed",
        ),
        (
            json!({ "queue": { "managed": { "storage": "20Gi" } } }),
            json!({ "queue": { "managed": { "storage": "19Gi" } } }),
            "managed.storage can't shrink",
        ),
        (
            json!({ "index": { "managed": { "storage": "20Gi" } } }),
            json!({ "index": { "managed": { "storage": "20G" } } }),
            "managed.storage can't shrink",
        ),
        (json!({}), json!({ "queue": { "managed": { "storage": "1Gi" } } }), "managed.storage can't shrink"),
        (json!({ "objectStore": { "managed": { "storage": "60Gi" } } }), json!({}), "managed.storage can't shrink"),
        (
            json!({ "queue": { "managed": { "storageClassName": "fast" } } }),
            json!({ "queue": { "managed": { "storageClassName": "slow" } } }),
            "managed.storageClassName can't be changed",
        ),
    ]
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_would_leave_data_behind_is_refused() {
    let world = World::start().await;
    for (number, (before, after, words)) in refused_changes().into_iter().enumerate() {
        let name = format!("stack-{number}");
        world.apply(&name, Some(before.clone())).await.unwrap();
        let error = world.dry_run(&name, Some(after.clone())).await.expect_err(&format!("{before} becomes {after}"));
        assert!(
            error.to_string().contains(words),
            "{before} to {after}\n  is refused with {error}\n  and not with {words}"
        );
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn stores_may_grow_and_addresses_may_move() {
    let world = World::start().await;
    let changes = [
        (json!({}), json!({ "queue": { "managed": { "storage": "20Gi" } } })),
        (
            json!({ "index": { "type": "External", "external": { "url": "http://old:19530" } } }),
            json!({ "index": { "type": "External", "external": { "url": "http://new:19530" } } }),
        ),
        (json!({ "objectStore": { "managed": { "engine": "MinIO" } } }), json!({})),
    ];
    for (number, (before, after)) in changes.into_iter().enumerate() {
        let name = format!("stack-{number}");
        world.apply(&name, Some(before)).await.unwrap();
        world.apply(&name, Some(after)).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_name_that_no_service_can_have_is_refused() {
    let world = World::start().await;
    for name in ["1photos", "photos.two"] {
        let error = world.dry_run(name, None).await.expect_err(name);
        assert!(error.to_string().contains("the name must begin with a letter"), "{error}");
    }
    world.dry_run(&"p".repeat(63), None).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn every_sample_is_taken() {
    let world = World::start().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/samples");
    let mut samples = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let sample: Value = serde_saphyr::from_str(&text).unwrap();
        let name = sample["metadata"]["name"].as_str().unwrap();
        let spec = sample.get("spec").cloned();
        world.dry_run(name, spec).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        samples += 1;
    }
    assert!(samples > 0, "there are no samples in {folder}");
}
