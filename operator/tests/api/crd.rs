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
    [refused_stores(), refused_roles(), refused_surroundings(), refused_settings(), refused_texts()].concat()
}

fn refused_stores() -> Vec<(Value, &'static str)> {
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
        (
            json!({ "index": { "type": "External", "external": external_index, "managed": {} } }),
            "external must be set when type is External, and managed must not",
        ),
        (json!({ "objectStore": { "type": "External" } }), "spec.objectStore: Invalid value: external must be set"),
        (
            json!({ "objectStore": { "type": "External", "external": bucket, "managed": {} } }),
            "spec.objectStore: Invalid value: external must be set",
        ),
        (json!({ "queue": { "type": "Mine" } }), "spec.queue.type: Unsupported value: \"Mine\""),
        (json!({ "queue": { "managed": { "replicas": 2 } } }), "spec.queue.managed.replicas: Unsupported value: 2"),
        (json!({ "queue": { "managed": { "storage": "much" } } }), "spec.queue.managed.storage"),
    ]
}

fn refused_roles() -> Vec<(Value, &'static str)> {
    vec![
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
    ]
}

fn refused_surroundings() -> Vec<(Value, &'static str)> {
    vec![
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

/// What pods would not start with.
fn refused_settings() -> Vec<(Value, &'static str)> {
    let sizes = |sizes: &[i32]| json!({ "cdnApi": { "variantSizes": sizes } });
    let network = |network: &str| json!({ "ingestWorker": { "allowNetworks": [network] } });
    let checksums = |sha256: Value| json!({ "model": { "source": "https://example.com/model.tar", "sha256": sha256 } });
    let toleration = |field: &str| json!({ "searchApi": { "tolerations": [{ "key": "dedicated", field: "Never" }] } });
    let digits = "0".repeat(64);
    vec![
        (sizes(&[200, 100]), "spec.cdnApi.variantSizes: Invalid value: sizes must be ascending, none twice"),
        (sizes(&[100, 100]), "spec.cdnApi.variantSizes: Invalid value: sizes must be ascending, none twice"),
        (sizes(&[0, 100]), "spec.cdnApi.variantSizes[0]: Invalid value: 0"),
        (network("10.1.0.0"), "spec.ingestWorker.allowNetworks: Invalid value: each must be a network such as"),
        (network("10.1.0.0/33"), "each must be a network such as"),
        (network("300.1.0.0/8"), "each must be a network such as"),
        (network("fd00::/129"), "each must be a network such as"),
        (network("example.com/8"), "each must be a network such as"),
        (
            checksums(json!({ "archive": &digits[1..] })),
            "spec.model.sha256: Invalid value: each checksum must be 64 hexadecimal digits",
        ),
        (checksums(json!({ "archive": digits, "vocabulary": digits })), "archive stands alone: it holds all files"),
        (toleration("operator"), "spec.searchApi.tolerations[0].operator: Unsupported value: \"Never\""),
        (toleration("effect"), "spec.searchApi.tolerations[0].effect: Unsupported value: \"Never\""),
    ]
}

/// What doesn't look as it must.
fn refused_texts() -> Vec<(Value, &'static str)> {
    let external = |store: &str, external: Value| json!({ store: { "type": "External", "external": external } });
    let store = |field: &str, value: &str| external("objectStore", json!({ "bucket": "photos", field: value }));
    let spread = json!([{ "topologyKey": "zone", "whenUnsatisfiable": "Never" }]);
    let key = |name: &str| json!({ "auth": { "keys": [{ "name": name, "scopes": ["read"] }] } });
    vec![
        (external("queue", json!({ "url": "http://nats:4222" })), "spec.queue.external.url: Invalid value"),
        (external("queue", json!({ "url": "nats://a:4222, nats://b:4222" })), "spec.queue.external.url: Invalid value"),
        (
            external("queue", json!({ "url": "nats://a:4222", "name": "a.b" })),
            "spec.queue.external.name: Invalid value",
        ),
        (
            external("queue", json!({ "url": "nats://a:4222", "replicas": 2 })),
            "spec.queue.external.replicas: Unsupported value: 2",
        ),
        (external("index", json!({ "url": "milvus:19530" })), "spec.index.external.url: Invalid value"),
        (
            external("index", json!({ "url": "http://m:19530", "prefix": "a-b" })),
            "spec.index.external.prefix: Invalid value",
        ),
        (store("endpoint", "s3.example.com"), "spec.objectStore.external.endpoint: Invalid value"),
        (store("serverSideEncryption", "DES"), "spec.objectStore.external.serverSideEncryption: Invalid value"),
        (store("bucket", "ab"), "spec.objectStore.external.bucket: Invalid value"),
        (
            json!({ "searchApi": { "topologySpreadConstraints": spread } }),
            "spec.searchApi.topologySpreadConstraints[0].whenUnsatisfiable: Invalid value",
        ),
        (json!({ "cdnApi": { "env": [{ "name": "A-B", "value": "" }] } }), "spec.cdnApi.env[0].name: Invalid value"),
        (json!({ "cdnApi": { "env": [{ "name": "1", "value": "" }] } }), "spec.cdnApi.env[0].name: Invalid value"),
        (key("Phone"), "spec.auth.keys[0].name: Invalid value"),
        (key("my.phone"), "spec.auth.keys[0].name: Invalid value"),
        (key(&"p".repeat(31)), "spec.auth.keys[0].name: Too long"),
        (json!({ "observability": { "logFilter": "" } }), "spec.observability.logFilter: Invalid value"),
        (json!({ "observability": { "logFilter": "i".repeat(513) } }), "spec.observability.logFilter: Too long"),
        (
            json!({ "observability": { "traces": { "endpoint": "alloy:4317" } } }),
            "spec.observability.traces.endpoint: Invalid value",
        ),
        (json!({ "rotateCredentials": "r".repeat(64) }), "spec.rotateCredentials: Too long"),
        (json!({ "image": "" }), "spec.image: Invalid value"),
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
    [refused_moves(), refused_volumes()].concat()
}

/// To another store.
fn refused_moves() -> Vec<(Value, Value, &'static str)> {
    let external = |bucket: &str, prefix: Option<&str>| {
        let mut external = json!({ "bucket": bucket });
        if let Some(prefix) = prefix {
            external["prefix"] = json!(prefix);
        }
        json!({ "objectStore": { "type": "External", "external": external } })
    };
    let index = |field: &str, value: &str| {
        let external = json!({ "url": "http://m:19530", field: value });
        json!({ "index": { "type": "External", "external": external } })
    };
    let queue = json!({ "queue": { "type": "External", "external": { "url": "nats://n:4222" } } });
    let named = json!({ "queue": { "type": "External", "external": { "url": "nats://n:4222", "name": "other" } } });
    let three_queues = json!({ "queue": { "managed": { "replicas": 3 } } });
    let seaweedfs = json!({ "objectStore": { "managed": { "engine": "SeaweedFS" } } });
    vec![
        (json!({}), queue.clone(), "spec.queue.type: Invalid value: type can't be changed"),
        (queue.clone(), json!({}), "spec.queue.type: Invalid value: type can't be changed"),
        (queue, named, "name can't be changed"),
        (json!({}), external("photos", None), "spec.objectStore.type: Invalid value: type can't be changed"),
        (external("photos", None), json!({}), "spec.objectStore.type: Invalid value: type can't be changed"),
        (external("photos", None), external("pictures", None), "bucket and prefix can't be changed"),
        (external("photos", None), external("photos", Some("a/")), "bucket and prefix can't be changed"),
        (json!({}), index("database", "photos"), "spec.index.type: Invalid value: type can't be changed"),
        (index("database", "photos"), json!({}), "spec.index.type: Invalid value: type can't be changed"),
        (index("database", "photos"), index("database", "other"), "database and prefix can't be changed"),
        (index("prefix", "one"), index("prefix", "other"), "database and prefix can't be changed"),
        (index("database", "default"), index("prefix", "one"), "database and prefix can't be changed"),
        (json!({}), three_queues.clone(), "spec.queue: Invalid value: managed.replicas can't be changed"),
        (three_queues, json!({}), "spec.queue: Invalid value: managed.replicas can't be changed"),
        (json!({}), seaweedfs.clone(), "managed.engine can't be changed"),
        (seaweedfs, json!({}), "managed.engine can't be changed"),
    ]
}

/// To another volume.
fn refused_volumes() -> Vec<(Value, Value, &'static str)> {
    let managed = |store: &str, field: &str, value: &str| json!({ store: { "managed": { field: value } } });
    let size = |store: &str, size: &str| managed(store, "storage", size);
    let class = |store: &str, class: &str| managed(store, "storageClassName", class);
    vec![
        (size("queue", "20Gi"), size("queue", "19Gi"), "spec.queue: Invalid value: managed.storage can't shrink"),
        (size("index", "20Gi"), size("index", "20G"), "spec.index: Invalid value: managed.storage can't shrink"),
        (json!({}), size("queue", "1Gi"), "managed.storage can't shrink"),
        (size("objectStore", "60Gi"), json!({}), "spec.objectStore: Invalid value: managed.storage can't shrink"),
        (class("queue", "fast"), class("queue", "slow"), "managed.storageClassName can't be changed"),
        (json!({}), class("index", "fast"), "managed.storageClassName can't be changed"),
        (class("objectStore", "fast"), json!({}), "managed.storageClassName can't be changed"),
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
