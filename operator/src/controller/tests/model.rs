//! Two models at once: one that searches use, and one beside it.

use k8s_openapi::{api::batch::v1::Job, jiff::Timestamp};

use super::*;
use crate::{
    controller::scaling,
    crd::{ModelChoice, ModelStatus},
};

const WANTED: &str =
    "{model: {source: 'https://models.example.com/other.tar.gz', reindexWorkers: 2}, searchApi: {replicas: 3}}";
const BUILDING: &str = "{summary: '', current: {source: bundled, fingerprint: a1b2, slot: A}, \
    beside: {source: 'https://models.example.com/other.tar.gz', state: Building}}";
const KEPT: &str = "{summary: '', current: {source: 'https://models.example.com/other.tar.gz', slot: B}, \
    beside: {source: bundled, state: Kept, until: '2026-01-01T01:00:00Z'}}";
const LEAVING: &str = "{summary: '', current: {source: 'https://models.example.com/other.tar.gz', slot: B}, \
    beside: {source: bundled, state: Leaving}}";
const ALONE: &str = "{summary: '', current: {source: 'https://models.example.com/other.tar.gz', slot: B}}";

fn other() -> ModelChoice {
    ModelChoice { source: "https://models.example.com/other.tar.gz".into(), ..ModelChoice::default() }
}

fn bundled() -> ModelChoice {
    ModelChoice { source: "bundled".into(), ..ModelChoice::default() }
}

fn job(status: &Value) -> Job {
    serde_json::from_value(json!({ "status": status })).unwrap()
}

/// A stack of which the last status told that of its models, and that has these Jobs.
fn with_status(spec: &str, status: &str, jobs: &[(String, Value)]) -> Stack {
    let mut observed = observed();
    observed.now = Timestamp::UNIX_EPOCH;
    observed.jobs = jobs.iter().map(|(name, status)| (name.clone(), job(status))).collect();
    let mut resource = resource(spec);
    let model: ModelStatus = serde_saphyr::from_str(status).unwrap();
    let status = resource.status.get_or_insert_default();
    (status.observed_generation, status.model) = (Some(1), Some(model));
    validate::stack(&resource, &observed, &defaults()).unwrap().unwrap()
}

fn fetched() -> (String, Value) {
    (validated(WANTED, &observed()).unwrap().model.job, json!({ "succeeded": 1 }))
}

fn building(fill: Value) -> Stack {
    with_status(WANTED, BUILDING, &[fetched(), (names::fill_job("photos", &other()), fill)])
}

fn kept() -> Stack {
    with_status(WANTED, KEPT, &[fetched()])
}

fn leaving() -> Stack {
    with_status(WANTED, LEAVING, &[fetched(), (names::remove_job("photos", &bundled()), json!({}))])
}

/// All that is made in each state.
pub(super) fn objects_of_all() -> Vec<Value> {
    let of = |stack: Stack| objects(&stack);
    let built = [of(building(json!({}))), of(building(json!({ "succeeded": 1 })))].concat();
    [built, of(kept()), of(leaving()), of(with_status(WANTED, ALONE, &[]))].concat()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

fn names_of(objects: &[Value], kind: &str) -> Vec<String> {
    let found = objects.iter().filter(|object| object["kind"] == kind);
    found.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn models(stack: &Stack, file: &str) -> Value {
    let objects = objects(stack);
    let config = find(&objects, "ConfigMap", "photos-conf").unwrap();
    let settings: Value = serde_saphyr::from_str(config["data"][file].as_str().unwrap()).unwrap();
    settings["model"].clone()
}

#[test]
fn a_model_that_is_built() {
    insta::assert_snapshot!(shown(&objects(&building(json!({})))));
}

#[test]
fn a_model_that_is_kept() {
    insta::assert_snapshot!(shown(&objects(&kept())));
}

#[test]
fn a_model_that_leaves() {
    let objects = objects(&leaving());
    let job = names::remove_job("photos", &bundled());
    insta::assert_snapshot!(serde_saphyr::to_string(find(&objects, "Job", &job).unwrap()).unwrap());
}

#[test]
fn the_next_searchapi_starts_when_its_collection_is_filled() {
    let deployments = |stack: &Stack| names_of(&objects(stack), "Deployment");
    assert!(!deployments(&building(json!({}))).contains(&"photos-searchapi-b".into()));
    assert!(deployments(&building(json!({}))).contains(&"photos-ingestworker-b".into()));
    let filled = building(json!({ "succeeded": 1 }));
    assert!(deployments(&filled).contains(&"photos-searchapi-b".into()));
    assert!(names_of(&objects(&filled), "Job").contains(&names::fill_job("photos", &other())), "it stays");
    let leaving = deployments(&leaving());
    assert!(leaving.contains(&"photos-searchapi-b".into()) && !leaving.contains(&"photos-searchapi".into()));
}

#[test]
fn uploads_go_to_both_models_while_there_are_two() {
    let (other, bundled) = (json!({ "source": other().source }), json!({ "source": "bundled" }));
    let with = |own: &Value, beside: &Value, fills: bool| {
        let mut both = own.clone();
        both["beside"] = beside.clone();
        if fills {
            both["beside"]["fills"] = json!(true);
        }
        both
    };
    let stack = building(json!({}));
    for file in ["ingestapi.yaml", "ingestworker.yaml"] {
        assert_eq!(models(&stack, file), with(&bundled, &other, true), "{file}");
    }
    assert_eq!(models(&stack, "ingestworker-b.yaml"), with(&other, &bundled, false));
    for (file, model) in [("searchapi.yaml", &bundled), ("searchapi-b.yaml", &other)] {
        assert_eq!(models(&stack, file), *model, "{file}");
    }
    assert_eq!(models(&stack, "cdnapi.yaml"), Value::Null, "it loads none, and isn't rolled for one");
    assert_eq!(models(&stack, "model.yaml"), other, "the Job that fetches it has it");

    let stack = kept();
    for file in ["ingestapi.yaml", "ingestworker-b.yaml"] {
        assert_eq!(models(&stack, file), with(&other, &bundled, false), "{file}");
    }
    assert_eq!(models(&stack, "ingestworker.yaml"), with(&bundled, &other, false));

    let stack = leaving();
    for file in ["ingestapi.yaml", "ingestworker-b.yaml"] {
        assert_eq!(models(&stack, file), other, "{file}");
    }
    assert_eq!(models(&stack, "ingestworker.yaml"), with(&bundled, &other, false), "the Job that removes has it");
}

#[test]
fn checksums_of_both_models_are_told() {
    let sum = "0".repeat(64);
    let spec = format!("{{model: {{source: 'https://models.example.com/a.tar', sha256: {{archive: '{sum}'}}}}}}");
    let status = format!(
        "{{summary: '', current: {{source: 's3://models/b', sha256: {{'visual/model.onnx': '{sum}'}}, slot: A}}, \
         beside: {{source: 'https://models.example.com/a.tar', sha256: {{archive: '{sum}'}}, state: Building}}}}"
    );
    let told = models(&with_status(&spec, &status, &[]), "ingestapi.yaml");
    let beside = json!({ "source": "https://models.example.com/a.tar", "sha256": sum, "fills": true });
    assert_eq!(told["sha256"], json!({ "visual/model.onnx": sum }));
    assert_eq!(told["beside"], beside);
}

/// Rolled for another reason, searchapi would lose what it has in memory, for nothing.
#[test]
fn the_searchapi_of_a_model_is_the_same_whichever_searches_use() {
    let filled = objects(&building(json!({ "succeeded": 1 })));
    let kept = objects(&kept());
    for name in ["photos-searchapi", "photos-searchapi-b"] {
        let template = |objects: &[Value]| find(objects, "Deployment", name).unwrap()["spec"]["template"].clone();
        assert_eq!(template(&filled), template(&kept), "{name}");
    }
}

#[test]
fn the_service_leads_to_the_slot_in_use() {
    let selected = |stack: &Stack| {
        let objects = objects(stack);
        let service = find(&objects, "Service", "photos-searchapi").unwrap();
        assert_eq!(find(&objects, "Service", "photos-searchapi-b"), None);
        service["spec"]["selector"][names::COMPONENT_LABEL].as_str().unwrap().to_owned()
    };
    assert_eq!(selected(&building(json!({ "succeeded": 1 }))), "searchapi");
    for stack in [kept(), leaving(), with_status(WANTED, ALONE, &[])] {
        assert_eq!(selected(&stack), "searchapi-b");
    }
}

#[test]
fn a_slot_has_a_name_of_its_own_in_everything_that_belongs_to_it() {
    let alone = objects(&with_status(WANTED, ALONE, &[]));
    for (kind, roles) in [
        ("Deployment", &["searchapi", "ingestworker"][..]),
        ("PodDisruptionBudget", &["searchapi", "ingestworker"]),
        ("NetworkPolicy", &["searchapi", "ingestworker"]),
    ] {
        let names = names_of(&alone, kind);
        for role in roles {
            assert!(
                names.contains(&format!("photos-{role}-b")) && !names.contains(&format!("photos-{role}")),
                "{names:?}"
            );
        }
    }
    assert!(!names_of(&alone, "NetworkPolicy").contains(&"photos-modelchange".into()));
    let by_load = "{searchApi: {autoscaling: {}}}";
    let status = "{summary: '', current: {source: bundled, slot: B}}";
    let scaled = objects(&with_status(by_load, status, &[]));
    let scaler = find(&scaled, "HorizontalPodAutoscaler", "photos-searchapi-b").unwrap();
    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], "photos-searchapi-b");
    // What runs in it is called the same in either.
    let deployment = find(&scaled, "Deployment", "photos-searchapi-b").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["name"], &container["args"][0]), (&json!("searchapi"), &json!("searchapi")));
    assert_eq!(container["args"][2], "/etc/imagesearch/searchapi-b.yaml");
}

#[test]
fn a_model_that_can_t_be_used_ends_its_job_and_nothing_else_does() {
    let objects = objects(&building(json!({})));
    let job = find(&objects, "Job", &names::fill_job("photos", &other())).unwrap();
    let policy = json!({ "rules": [{
        "action": "FailJob", "onExitCodes": { "containerName": "modelchange", "operator": "In", "values": [6] },
    }] });
    assert_eq!(job["spec"]["podFailurePolicy"], policy);
    assert_eq!(job["spec"]["backoffLimit"], i32::MAX);
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["containers"][0]["name"], policy["rules"][0]["onExitCodes"]["containerName"]);
    assert_eq!(pod["containers"][0]["terminationMessagePolicy"], "FallbackToLogsOnError");
}

/// Upgrading the operator rolls nothing.
#[test]
fn what_pods_are_marked_with_is_what_it_was() {
    let spec = "{model: {source: 'hf://org/model@1', tokenSecretRef: {name: hub, key: token}, reindexWorkers: 3, keepPrevious: 5m}}";
    let marks = validated(spec, &observed()).unwrap().model.marks;
    let wanted = json!({ "source": "hf://org/model@1", "tokenSecretRef": { "name": "hub", "key": "token" } });
    assert_eq!(marks.current, crate::controller::hash::of(&wanted));
    let bundled = validated("{}", &observed()).unwrap().model.marks;
    assert_eq!(bundled.current, crate::controller::hash::of(&json!({ "source": "bundled" })));
}

#[test]
fn workers_of_the_model_in_use_are_scaled_by_its_jobs() {
    let mut found = observed();
    let since = json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" } });
    found.jobs.insert(names::fill_job("photos", &other()), serde_json::from_value(since).unwrap());
    let target = |stack: &Stack| scaling::target(stack, &found, &apply::Outcome::default());
    let one = target(&validated("{}", &observed()).unwrap());
    assert_eq!((one.deployment.as_str(), one.beside), ("photos-ingestworker", None));
    let with_fingerprints = |first: &str, second: &str| {
        let mut stack = building(json!({}));
        stack.model.plan.current.as_mut().unwrap().model.fingerprint = Some(first.into());
        stack.model.plan.beside.as_mut().unwrap().model.fingerprint = Some(second.into());
        target(&stack)
    };
    let building = with_fingerprints("a1b2", "c3d4");
    let beside = building.beside.unwrap();
    assert_eq!((building.deployment.as_str(), beside.source), ("photos-ingestworker", other().source));
    assert_eq!((beside.fingerprint.as_deref(), beside.bucket.as_str()), (Some("c3d4"), "imagesearch-models"));
    assert_eq!(beside.filled_since.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(with_fingerprints("a1b2", "a1b2").beside.unwrap().fingerprint, None, "it is the same model");
    let kept = target(&kept());
    let beside = kept.beside.unwrap();
    assert_eq!((kept.deployment.as_str(), beside.source.as_str()), ("photos-ingestworker-b", "bundled"));
    assert_eq!(beside.filled_since, None);
}

#[test]
fn a_time_that_is_none_is_refused_by_its_field() {
    let faults = validated("{model: {keepPrevious: '5d'}}", &observed()).unwrap_err();
    assert_eq!(faults[0].to_string(), "spec.model.keepPrevious: \"5d\" is not a time span such as 1h");
}
