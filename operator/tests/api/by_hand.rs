//! What somebody deletes or changes, in the cluster and in the spec.

use std::collections::BTreeMap;

use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    process::{Operator, REPAIRED_WITHIN, until},
    stack::{KINDS, Name},
    world::{DEADLINE, World},
};

/// A stack that has children of every kind of Kubernetes's own.
pub(crate) async fn whole_stack() -> (World, Operator) {
    let spec = json!({
        "ingress": { "host": "photos.example.com" },
        "model": { "source": "https://example.com/model.tar" },
        "searchApi": { "autoscaling": {} },
    });
    let (world, operator) = World::with_stack(spec).await;
    let jobs = world.all::<Job>().list(&ListParams::default()).await.unwrap();
    world.let_end(&jobs.items[0].name_any()).await;
    until(DEADLINE, "everything is there", async || {
        world.let_stores_serve().await;
        let all = world.children("photos").await;
        // The index comes after the object store has begun to serve, the roles after the model was fetched.
        all.get(&("StatefulSet", "photos-index".into()))?;
        all.get(&("HorizontalPodAutoscaler", "photos-searchapi".into()))?;
        KINDS.iter().all(|(_, kind)| all.keys().any(|(found, _)| found == kind)).then_some(())
    })
    .await;
    (world, operator)
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_is_deleted_by_hand_is_made_again() {
    let (world, _operator) = whole_stack().await;
    for kind in KINDS {
        let ids = async || {
            let found = world.children_of("photos", kind).await;
            found.into_iter().map(|(name, object)| (name, object.metadata.uid)).collect::<BTreeMap<_, _>>()
        };
        let before = ids().await;
        for (_, name) in before.keys() {
            // Without being told, the API server would leave a Job to who collects garbage.
            world.dynamic(kind).delete(name, &DeleteParams::background()).await.unwrap();
        }
        until(REPAIRED_WITHIN, &format!("{:?} are there again", before.keys()), async || {
            // A new StatefulSet is said to serve by nobody else.
            world.let_stores_serve().await;
            let now = ids().await;
            (now.keys().eq(before.keys()) && now.values().all(|id| !before.values().any(|old| old == id))).then_some(())
        })
        .await;
    }
}

/// A field of a child, and what somebody writes there.
type Edit = ((&'static str, &'static str), &'static str, &'static str, Value);

/// One of each kind at least.
fn edits() -> Vec<Edit> {
    let image = "/spec/template/spec/containers/0/image";
    vec![
        (("", "ConfigMap"), "photos-conf", "/data/searchapi.yaml", json!("data_dir: /elsewhere")),
        (("", "Secret"), "photos-queue-config", "/data/nats.conf", json!("bm8=")),
        (("", "Service"), "photos-searchapi", "/spec/selector/app.kubernetes.io~1component", json!("cdnapi")),
        (("", "ServiceAccount"), "photos-roles", "/automountServiceAccountToken", json!(true)),
        (("apps", "Deployment"), "photos-cdnapi", "/spec/replicas", json!(7)),
        (("apps", "Deployment"), "photos-searchapi", image, json!("somebody/elses:1")),
        (("apps", "StatefulSet"), "photos-queue", image, json!("somebody/elses:1")),
        (("autoscaling", "HorizontalPodAutoscaler"), "photos-searchapi", "/spec/maxReplicas", json!(99)),
        (("batch", "CronJob"), "photos-check", "/spec/schedule", json!("* * * * *")),
        (("networking.k8s.io", "Ingress"), "photos-frontend", "/spec/rules/0/host", json!("elsewhere.example.com")),
        (("networking.k8s.io", "NetworkPolicy"), "photos-queue", "/spec/ingress", json!([{}])),
        (("policy", "PodDisruptionBudget"), "photos-searchapi", "/spec/maxUnavailable", json!("100%")),
    ]
}

async fn assert_repaired(world: &World, edits: Vec<Edit>) {
    for (kind, name, field, edited) in edits {
        let objects = world.dynamic(kind);
        let read = async || serde_json::to_value(objects.get(name).await.unwrap()).unwrap().pointer(field).cloned();
        let before = read().await;
        assert!(before.is_some() && before.as_ref() != Some(&edited), "{kind:?} {name} has no such {field}");
        until(DEADLINE, "nobody else writes it", async || {
            let mut object = serde_json::to_value(objects.get(name).await.unwrap()).unwrap();
            *object.pointer_mut(field).unwrap() = edited.clone();
            let object = serde_json::from_value(object).unwrap();
            match objects.replace(name, &PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.is_conflict() => None,
                written => Some(written.unwrap()),
            }
        })
        .await;
        until(REPAIRED_WITHIN, &format!("{field} of {kind:?} {name} is as it was"), async || {
            (read().await == before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_is_changed_by_hand_is_repaired() {
    let (world, _operator) = whole_stack().await;
    assert_repaired(&world, edits()).await;
}

/// The API server tells ports by their numbers: another number is another port beside ours, and has the same name.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_port_that_is_changed_by_hand_is_repaired() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let port = "/spec/template/spec/containers/0/ports/0/containerPort";
    let edits = vec![
        (("", "Service"), "photos-searchapi", "/spec/ports/0/port", json!(1234)),
        (("apps", "Deployment"), "photos-searchapi", port, json!(1234)),
    ];
    assert_repaired(&world, edits).await;
}

/// Found by their labels alone, they would be made anew, and open nothing.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn credentials_whose_label_is_changed_by_hand_stay_the_same() {
    const LABEL: &str = "/metadata/labels/app.kubernetes.io~1managed-by";
    let (world, _operator) = World::with_stack(json!({})).await;
    let secrets = world.all::<Secret>();
    for name in ["photos-queue-credentials", "photos-objectstore-credentials", "photos-key-admin"] {
        let before = secrets.get(name).await.unwrap().data;
        assert_repaired(&world, vec![(("", "Secret"), name, LABEL, json!("somebody"))]).await;
        assert_eq!(secrets.get(name).await.unwrap().data, before, "{name}");
    }
}

/// Kinds that are not Kubernetes's own are watched like all others.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_route_that_is_deleted_by_hand_is_made_again() {
    let ingress = json!({ "type": "Gateway", "host": "photos.example.com", "parentRefs": [{ "name": "gateway" }] });
    let (world, _operator) = World::with_stack(json!({ "ingress": ingress })).await;
    for (kind, name) in [
        (("gateway.networking.k8s.io", "HTTPRoute"), "photos-frontend"),
        (("monitoring.coreos.com", "PodMonitor"), "photos-roles"),
    ] {
        let api = world.dynamic(kind);
        until(DEADLINE, name, async || api.get_opt(name).await.unwrap()).await;
        api.delete(name, &DeleteParams::default()).await.unwrap();
        until(REPAIRED_WITHIN, name, async || api.get_opt(name).await.unwrap()).await;
    }
}

/// A spec, another one, and which children of the first go with the second.
async fn goes(before: Value, after: Value, superfluous: &[(&'static str, &str)]) {
    let (world, _operator) = World::with_stack(before).await;
    let superfluous: Vec<Name> = superfluous.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
    until(DEADLINE, "everything is there", async || {
        let all = world.children("photos").await;
        superfluous.iter().all(|child| all.contains_key(child)).then_some(())
    })
    .await;
    let before = world.children("photos").await;
    world.apply("photos", Some(after)).await.unwrap();
    until(DEADLINE, "what nobody wants is gone, and nothing else", async || {
        let mut left: Vec<Name> = before.keys().cloned().collect();
        left.retain(|child| !superfluous.contains(child));
        world.children("photos").await.into_keys().eq(left).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn what_is_taken_from_the_spec_goes() {
    let keys = json!([{ "name": "admin", "scopes": ["admin"] }, { "name": "phone", "scopes": ["read"] }]);
    goes(
        json!({
            "ingress": { "host": "photos.example.com" }, "auth": { "keys": keys }, "searchApi": { "autoscaling": {} },
        }),
        json!({ "observability": { "podMonitors": "Never" }, "check": { "schedule": "" } }),
        &[
            ("Ingress", "photos-frontend"),
            ("Secret", "photos-key-phone"),
            ("HorizontalPodAutoscaler", "photos-searchapi"),
            ("PodMonitor", "photos-roles"),
            ("CronJob", "photos-check"),
        ],
    )
    .await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_route_that_is_taken_from_the_spec_goes() {
    let gateway = json!({ "type": "Gateway", "parentRefs": [{ "name": "gateway" }] });
    goes(json!({ "ingress": gateway }), json!({}), &[("HTTPRoute", "photos-frontend")]).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn network_policies_that_nobody_wants_go_all() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let policies = async || world.children_of("photos", ("networking.k8s.io", "NetworkPolicy")).await.len();
    assert_ne!(policies().await, 0);
    world.apply("photos", Some(json!({ "networkPolicy": "None" }))).await.unwrap();
    until(DEADLINE, "they are gone", async || (policies().await == 0).then_some(())).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_key_that_is_taken_off_the_list_is_refused_and_the_others_stay() {
    let keys = json!([{ "name": "admin", "scopes": ["admin"] }, { "name": "phone", "scopes": ["read"] }]);
    let (world, _operator) = World::with_stack(json!({ "auth": { "keys": keys } })).await;
    let known = async || world.secret("photos-keys", "keys.json").await.unwrap();
    assert!(known().await.contains("phone"));
    let admin = world.secret("photos-key-admin", "key").await;
    world.apply("photos", Some(json!({}))).await.unwrap();
    until(DEADLINE, "it is refused", async || (!known().await.contains("phone")).then_some(())).await;
    assert!(admin.is_some());
    assert_eq!(world.secret("photos-key-admin", "key").await, admin);
}
