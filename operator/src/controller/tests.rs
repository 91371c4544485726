//! Every object that is built, from minimal YAML; and what must hold for all of them.
#![allow(clippy::unwrap_used)]

mod model;

use std::sync::Arc;

use clap::Parser;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, Secret};
use kube::ResourceExt;
use serde_json::{Value, json};
use shared::config::Config;

use super::{
    apply, build,
    defaults::Defaults,
    fetch::Observed,
    names::{self, Component},
    stack::Stack,
    validate::{self, Fault},
};
use crate::crd::ImageSearchStack;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    defaults: Defaults,
}

pub(super) fn resource(spec: &str) -> ImageSearchStack {
    let mut stack: Value = json!({
        "apiVersion": "imagesearch.dev/v1alpha1", "kind": "ImageSearchStack",
        "metadata": { "name": "photos", "namespace": "search", "uid": "6f1c", "generation": 1 },
    });
    stack["spec"] = serde_saphyr::from_str(spec).unwrap();
    serde_json::from_value(stack).unwrap()
}

pub(super) fn secret(name: &str, entries: &[(&str, &str)]) -> (String, Secret) {
    let data =
        entries.iter().map(|(entry, value)| ((*entry).to_owned(), k8s_openapi::ByteString(value.as_bytes().to_vec())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    (name.to_owned(), secret)
}

/// A namespace in which everything that is made from randomness is there already, so that what is built is always the same.
pub(super) fn observed() -> Observed {
    let key = format!("isk_0123456789ab_{}", "0".repeat(64));
    let secrets = [
        secret("photos-objectstore-credentials", &[("access-key-id", "kstore"), ("secret-access-key", "pstore")]),
        secret(
            "photos-queue-credentials",
            &[
                ("user", "kqueue"),
                ("password", "pqueue"),
                ("operator-password", "poperator"),
                ("route-password", "proute"),
            ],
        ),
        secret("photos-key-admin", &[("key", &key), ("created", "2026-01-02T03:04:05Z")]),
        secret("s3", &[("access-key-id", "AKIA"), ("secret-access-key", "external-secret")]),
        secret("milvus", &[("token", "milvus-token")]),
        secret("nats", &[("user", "search"), ("password", "nats-password")]),
        secret("ca", &[("ca.crt", "-----BEGIN CERTIFICATE-----")]),
        secret("hub", &[("token", "hub-token")]),
    ];
    Observed {
        secrets: secrets.into(),
        // The object store serves, so that the index is built.
        stateful_sets: [("photos-objectstore".to_owned(), serving())].into(),
        knows_pod_monitors: true,
        knows_http_routes: true,
        ..Observed::default()
    }
}

fn serving() -> k8s_openapi::api::apps::v1::StatefulSet {
    serde_json::from_value(json!({
        "metadata": { "name": "photos-objectstore", "generation": 1 },
        "spec": { "replicas": 1, "selector": {}, "template": {}, "serviceName": "peers" },
        "status": { "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1 },
    }))
    .unwrap()
}

pub(super) fn defaults() -> Arc<Defaults> {
    Arc::new(Arguments::parse_from(["operator"]).defaults)
}

pub(super) fn validated(spec: &str, observed: &Observed) -> Result<Stack, Vec<Fault>> {
    validate::stack(&resource(spec), observed, &defaults()).unwrap()
}

fn built(spec: &str) -> Vec<Value> {
    objects(&validated(spec, &observed()).unwrap())
}

fn objects(stack: &Stack) -> Vec<Value> {
    let children = apply::in_order(build::children(stack)).into_iter();
    children.map(|child| serde_json::to_value(child.object).unwrap()).collect()
}

/// As YAML, by kind and name.
fn shown(objects: &[Value]) -> String {
    let documents = objects.iter().map(|object| serde_saphyr::to_string(object).unwrap());
    documents.collect::<Vec<_>>().join("---\n")
}

pub(super) const PRODUCTION: &str = r#"
image: ghcr.io/example/imagesearch:0.3.0
imagePullSecrets: [{name: registry}]
ingestApi: {replicas: 2, maxUploadSize: 50Mi}
ingestWorker:
  resources: {requests: {cpu: "2", memory: 1Gi}, limits: {memory: 2Gi}}
  allowNetworks: [10.1.0.0/16]
  autoscaling: {minReplicas: 0, maxReplicas: 20}
searchApi:
  autoscaling: {minReplicas: 2, maxReplicas: 10}
  nodeSelector: {disk: fast}
  tolerations: [{key: dedicated, operator: Equal, value: search, effect: NoExecute, tolerationSeconds: 60}, {operator: Exists}]
  topologySpreadConstraints: [{topologyKey: topology.kubernetes.io/zone, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]
  priorityClassName: searches-first
  annotations: {team.example.com/owner: search}
  env: [{name: A, value: b}]
cdnApi: {variantSizes: [64, 128]}
frontend: {replicas: 2, labels: {team: search}}
queue: {type: External, external: {url: "tls://nats.db:4222", credentialsSecretRef: {name: nats}, tls: {caSecretRef: {name: ca}}}}
index: {type: External, external: {url: "https://milvus.db:19530", database: photos, credentialsSecretRef: {name: milvus}}}
objectStore:
  type: External
  external: {endpoint: "https://s3.example.com", region: eu-central-1, bucket: photos, prefix: prod/, credentialsSecretRef: {name: s3}}
ingress:
  className: nginx
  host: photos.example.com
  tlsSecretName: photos-tls
  annotations: {cert-manager.io/cluster-issuer: letsencrypt, nginx.ingress.kubernetes.io/proxy-body-size: 60m}
check:
  resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 1Gi}}
  nodeSelector: {disk: slow}
  tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
  priorityClassName: batch
  env: [{name: IMAGESEARCH_LOG__FILTER, value: debug}]
observability: {traces: {endpoint: "http://alloy.monitoring:4317", sampleRatio: "0.1"}}
"#;

const SEAWEEDFS: &str = "{objectStore: {managed: {engine: SeaweedFS}}, queue: {managed: {replicas: 3}}, networkPolicy: None, \
    deletionPolicy: Delete, check: {schedule: ''}}";

#[test]
fn an_empty_spec() {
    insta::assert_snapshot!(shown(&built("{}")));
}

#[test]
fn external_stores_behind_an_ingress() {
    insta::assert_snapshot!(shown(&built(PRODUCTION)));
}

#[test]
fn three_queue_servers_and_seaweedfs() {
    insta::assert_snapshot!(shown(&built(SEAWEEDFS)));
}

#[test]
fn a_gateway() {
    let objects = built(
        "{ingress: {type: Gateway, host: photos.example.com, annotations: {team: search}, \
         parentRefs: [{name: public, namespace: edge, sectionName: https}, {name: private}]}}",
    );
    let route = objects.iter().find(|object| object["kind"] == "HTTPRoute").unwrap();
    insta::assert_snapshot!(serde_saphyr::to_string(route).unwrap());
}

const FETCHED: &str = r#"
model:
  source: hf://org/model@1
  tokenSecretRef: {name: hub, key: token}
  fetch:
    nodeSelector: {disk: fast}
    tolerations: [{key: dedicated, operator: Exists}]
    priorityClassName: batch
    env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
    resources: {requests: {cpu: "1", memory: 1Gi}, limits: {memory: 4Gi}}
imagePullSecrets: [{name: registry}]
"#;

#[test]
fn a_model_that_is_fetched() {
    let objects = built(FETCHED);
    let job = objects.iter().find(|object| object["kind"] == "Job").unwrap();
    insta::assert_snapshot!(serde_saphyr::to_string(job).unwrap());
}

#[test]
fn another_node_for_the_fetch_makes_no_other_model() {
    let plain = "{model: {source: 'hf://org/model@1', tokenSecretRef: {name: hub, key: token}}}";
    let [one, other] = [FETCHED, plain].map(|spec| validated(spec, &observed()).unwrap().model);
    assert_eq!((one.job, one.marks), (other.job, other.marks));
}

/// Every pod of every form, with the name of what makes it.
fn pods() -> Vec<(String, PodTemplateSpec)> {
    let specs = ["{}", PRODUCTION, SEAWEEDFS, FETCHED];
    let mut pods = Vec::new();
    for object in specs.into_iter().flat_map(built).chain(model::objects_of_all()) {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let template = object.pointer("/spec/jobTemplate/spec/template").or_else(|| object.pointer("/spec/template"));
        if let Some(template) = template {
            pods.push((name, serde_json::from_value(template.clone()).unwrap()));
        }
    }
    assert!(pods.len() > 25, "{}", pods.len());
    pods
}

#[test]
fn every_pod_meets_restricted_pod_security() {
    for (name, pod) in pods() {
        let pod = pod.spec.unwrap();
        let security = pod.security_context.as_ref().unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)), "{name}");
        assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault", "{name}");
        assert_eq!(pod.enable_service_links, Some(false), "{name}");
        assert_eq!(pod.automount_service_account_token, Some(false), "{name}");
        for container in &pod.containers {
            let security = container.security_context.as_ref().unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false), "{name}");
            assert_eq!(security.read_only_root_filesystem, Some(true), "{name}");
            assert_eq!(
                security.capabilities.as_ref().unwrap().drop.as_deref(),
                Some(&["ALL".to_owned()][..]),
                "{name}"
            );
            let resources = container.resources.as_ref().unwrap();
            assert!(resources.requests.as_ref().unwrap().contains_key("cpu"), "{name}");
            assert!(resources.limits.as_ref().unwrap().contains_key("memory"), "{name}");
        }
    }
}

#[test]
fn pods_that_serve_are_probed_and_have_time_to_drain() {
    for (name, pod) in
        pods().into_iter().filter(|(name, _)| name.contains("Deployment") || name.contains("StatefulSet"))
    {
        let pod = pod.spec.unwrap();
        let container = &pod.containers[0];
        let probes = (&container.startup_probe, &container.liveness_probe, &container.readiness_probe);
        assert!(matches!(probes, (Some(_), Some(_), Some(_))), "{name}");
        // A role drains for 20 s at most, after the pause before it is told to.
        assert!(pod.termination_grace_period_seconds.unwrap() >= 25, "{name}");
    }
}

/// Where a file serves, no secret is in the environment; Milvus reads its keys from nowhere else.
#[test]
fn no_secret_is_in_a_pod() {
    for (name, pod) in pods() {
        let written = serde_json::to_string(&pod).unwrap();
        for secret in
            ["pstore", "pqueue", "poperator", "proute", "external-secret", "milvus-token", "nats-password", "hub-token"]
        {
            assert!(!written.contains(secret), "{secret} is in {name}");
        }
        let from_secrets = from_secrets(pod.spec.as_ref().unwrap());
        assert!(from_secrets == 0 || name.contains("photos-index"), "{name}");
    }
}

fn from_secrets(pod: &PodSpec) -> usize {
    let variables = pod.containers.iter().flat_map(|container| container.env.iter().flatten());
    variables.filter(|variable| variable.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some())).count()
}

#[test]
fn what_the_roles_are_given_is_a_configuration_of_theirs() {
    let specs = ["{}", PRODUCTION, SEAWEEDFS, "{auth: {type: None}}", "{observability: {logFilter: debug}}"];
    for config in specs.into_iter().flat_map(built).chain(model::objects_of_all()) {
        if config["kind"] != "ConfigMap" {
            continue;
        }
        for (file, contents) in config["data"].as_object().unwrap() {
            let contents = contents.as_str().unwrap();
            let parsed: Config =
                serde_saphyr::from_str(contents).unwrap_or_else(|error| panic!("{file}: {error}\n{contents}"));
            assert!(parsed.embedded_stores().is_empty(), "{file}");
            assert!(parsed.admin.listen.ip().is_unspecified(), "{file}");
        }
    }
}

#[test]
fn a_changed_secret_rolls_those_who_read_it_and_nobody_else() {
    let hashes = |observed: &Observed| {
        let stack = validated(PRODUCTION, observed).unwrap();
        [Component::IngestApi, Component::IngestWorker, Component::SearchApi, Component::CdnApi]
            .map(|role| build::settings::hash(&stack, role))
    };
    let before = hashes(&observed());
    let mut changed = observed();
    changed.secrets.extend([secret("nats", &[("user", "search"), ("password", "another")])]);
    let after = hashes(&changed);
    let rolled: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    assert_eq!(rolled, [true, true, false, false], "searchapi and cdnapi don't talk to the queue");
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let mut without = observed();
    without.secrets.remove("s3");
    let faults = validated(PRODUCTION, &without).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].to_string(), "spec.objectStore.external.credentialsSecretRef: the Secret \"s3\" is not there");
    assert!(faults[0].waiting);
    without.secrets.extend([secret("s3", &[("access-key-id", "AKIA")])]);
    let faults = validated(PRODUCTION, &without).unwrap_err();
    assert!(faults[0].message.contains("needs access-key-id and secret-access-key"), "{}", faults[0]);
}

#[test]
fn what_pods_would_not_start_with_is_refused_by_its_field() {
    let refused = |spec: &str| validated(spec, &observed()).unwrap_err()[0].to_string();
    for network in ["fd00::1::/8", "10.1.0.0/33", "fd00::/129", "10.1.0.0", "10.1.0.0/", "ten/8", "10.1.0.0/+8"] {
        assert_eq!(
            refused(&format!("{{ingestWorker: {{allowNetworks: ['{network}']}}}}")),
            format!("spec.ingestWorker.allowNetworks: {network:?} is not a network such as 10.1.0.0/16 or fd00::/8")
        );
    }
    for network in ["10.1.0.0/16", "0.0.0.0/0", "10.1.2.3/32", "fd00::/8", "::/0", "::ffff:10.0.0.0/104"] {
        assert!(validated(&format!("{{ingestWorker: {{allowNetworks: ['{network}']}}}}"), &observed()).is_ok());
    }
    let filter = refused("{observability: {logFilter: 'verbos'}}");
    assert!(filter.starts_with("spec.observability.logFilter: \"verbos\" is no level"), "{filter}");
}

/// A server with another one could not talk to those that have not rolled yet.
#[test]
fn a_rotation_leaves_the_password_of_the_servers_among_themselves() {
    let credentials = |spec: &str| validated(spec, &observed()).unwrap().queue.managed.unwrap().credentials;
    let rotated = credentials("{queue: {managed: {replicas: 3}}, rotateCredentials: next}");
    assert_eq!(rotated.get("route-password"), "proute");
    assert_ne!(rotated.get("password"), "pqueue");
    assert_eq!(rotated.previous("password"), Some("pqueue"));
}

#[test]
fn the_index_waits_for_the_object_store() {
    let mut starting = observed();
    starting.stateful_sets.clear();
    assert!(validated("{}", &starting).unwrap().index.managed.is_none());
    assert!(validated("{}", &observed()).unwrap().index.managed.is_some());
}

#[test]
fn roles_wait_for_a_model_that_is_fetched() {
    let spec = "{model: {source: 'https://models.example.com/clip.tar.gz'}}";
    let stack = validated(spec, &observed()).unwrap();
    assert!(build::children(&stack).roles.is_none());
    let job = build::children(&stack).fetch_model.unwrap();
    let mut fetched = observed();
    let mut done = job.clone();
    done.status = Some(serde_json::from_value(json!({ "succeeded": 1 })).unwrap());
    fetched.jobs.insert(job.name_any(), done);
    assert!(build::children(&validated(spec, &fetched).unwrap()).roles.is_some());
    // Another model is another Job.
    let other = validated("{model: {source: 'https://models.example.com/other.tar.gz'}}", &fetched).unwrap();
    assert!(build::children(&other).roles.is_none());
    assert_ne!(build::children(&other).fetch_model.unwrap().name_any(), job.name_any());
}

#[test]
fn what_is_retained_has_no_owner() {
    let owners = |spec: &str| -> Vec<(String, bool)> {
        let secrets = built(spec).into_iter().filter(|object| object["kind"] == "Secret");
        let owned = |object: &Value| object["metadata"]["ownerReferences"].is_array();
        secrets.map(|object| (object["metadata"]["name"].as_str().unwrap().to_owned(), owned(&object))).collect()
    };
    let kept: Vec<String> = owners("{}").into_iter().filter(|(_, owned)| !owned).map(|(name, _)| name).collect();
    assert_eq!(kept, ["photos-objectstore-credentials", "photos-queue-credentials", "photos-key-admin"]);
    assert!(owners("{deletionPolicy: Delete}").iter().all(|(_, owned)| *owned));
}

#[test]
fn long_names_make_legal_children() {
    let mut long = resource("{}");
    long.metadata.name = Some("p".repeat(63));
    let stack = validate::stack(&long, &Observed::default(), &defaults()).unwrap().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for child in apply::in_order(build::children(&stack)) {
        let name = child.object.name_any();
        assert!(name.len() <= 52, "{name}");
        assert!(seen.insert((child.kind.kind.clone(), name.clone())), "{} {name} is there twice", child.kind.kind);
        assert_eq!(child.object.labels()[names::INSTANCE_LABEL].len(), 63);
    }
}
