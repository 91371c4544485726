#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::{
    controller::{
        apply, build,
        tests::{defaults, observed, resource},
        validate,
    },
    crd::ModelStatus,
};

const SPEC: &str = "{model: {source: 's3://models/other'}}";
const BUILDING: &str =
    "{summary: '', current: {source: bundled, slot: A}, beside: {source: 's3://models/other', state: Building}}";
const LEAVING: &str =
    "{summary: '', current: {source: 's3://models/other', slot: B}, beside: {source: bundled, state: Leaving}}";

/// A cluster in which all that is built is there, and serves.
struct World {
    status: &'static str,
    observed: Observed,
}

impl World {
    fn rolled(status: &'static str) -> Self {
        let mut world = Self { status, observed: observed() };
        let children = apply::in_order(build::children(&world.stack()));
        let deployments = children.into_iter().filter(|child| child.kind.kind == "Deployment");
        let deployments = deployments.map(|child| (child.object.name_any(), serving(&child.object)));
        world.observed.deployments = deployments.collect();
        world
    }

    fn stack(&self) -> Stack {
        let mut resource = resource(SPEC);
        let model: ModelStatus = serde_saphyr::from_str(self.status).unwrap();
        let status = resource.status.get_or_insert_default();
        (status.observed_generation, status.model) = (Some(1), Some(model));
        validate::stack(&resource, &self.observed, &defaults()).unwrap().unwrap()
    }

    fn steps(&self) -> Steps {
        self.stack().model.steps
    }

    /// A pod of a component, with the configuration of now or of before.
    fn run(&mut self, component: Component, is_of_now: bool, more: &Value) {
        let stack = self.stack();
        let config = if is_of_now { settings::hash(&stack, component) } else { "before".into() };
        let mut pod = json!({ "metadata": {
            "name": format!("pod-{}", self.observed.pods.len()),
            "labels": { COMPONENT_LABEL: component.label() }, "annotations": { CONFIG_ANNOTATION: config },
        } });
        for (field, value) in more.as_object().unwrap() {
            match field.as_str() {
                "status" => pod["status"] = value.clone(),
                field => pod["metadata"][field] = value.clone(),
            }
        }
        self.observed.pods.push(serde_json::from_value(pod).unwrap());
    }

    fn deployment(&mut self, component: Component) -> &mut Deployment {
        self.observed.deployments.get_mut(&names::child("photos", component.label())).unwrap()
    }
}

fn serving(object: &DynamicObject) -> Deployment {
    let mut deployment = serde_json::to_value(object).unwrap();
    deployment["metadata"]["generation"] = json!(1);
    deployment["spec"]["replicas"] = json!(1);
    deployment["status"] = json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1,
    });
    serde_json::from_value(deployment).unwrap()
}

fn job(status: Value) -> Job {
    serde_json::from_value(json!({ "status": status })).unwrap()
}

#[test]
fn a_collection_is_filled_when_nobody_is_left_who_does_not_know_of_it() {
    let mut world = World::rolled(BUILDING);
    assert!(world.steps().fill, "there may be no pods at all");
    for role in [Component::IngestApi, Component::IngestWorker] {
        world.run(role, true, &json!({}));
    }
    // Those of the other model, and of other roles, are of no matter.
    world.run(Component::IngestWorkerB, false, &json!({}));
    world.run(Component::SearchApi, false, &json!({}));
    // Neither is who has ended.
    world.run(Component::IngestApi, false, &json!({ "status": { "phase": "Failed" } }));
    world.run(Component::IngestWorker, false, &json!({ "status": { "phase": "Succeeded" } }));
    assert!(world.steps().fill);
    for role in [Component::IngestApi, Component::IngestWorker] {
        let asked_to_end = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "status": { "phase": "Running" } });
        world.run(role, false, &asked_to_end);
        assert!(!world.steps().fill, "{role} may still take an upload");
        world.observed.pods.pop();
    }
}

#[test]
fn a_deployment_has_to_have_seen_the_change() {
    for role in [Component::IngestApi, Component::IngestWorker] {
        let mut world = World::rolled(BUILDING);
        world.deployment(role).metadata.generation = Some(2);
        assert!(!world.steps().fill, "{role}: nobody has looked at it");
        let mut world = World::rolled(BUILDING);
        world.deployment(role).status.as_mut().unwrap().replicas = Some(2);
        assert!(!world.steps().fill, "{role}: one of before is there");
        let mut world = World::rolled(BUILDING);
        let template = &mut world.deployment(role).spec.template;
        template
            .metadata
            .as_mut()
            .unwrap()
            .annotations
            .as_mut()
            .unwrap()
            .insert(CONFIG_ANNOTATION.into(), "before".into());
        assert!(!world.steps().fill, "{role}: it is not told yet");
        let mut world = World::rolled(BUILDING);
        world.observed.deployments.remove(&names::child("photos", role.label()));
        assert!(!world.steps().fill, "{role}: it is not there");
    }
}

#[test]
fn a_fill_that_has_begun_goes_on_while_something_rolls() {
    let mut world = World::rolled(BUILDING);
    world.run(Component::IngestApi, false, &json!({}));
    assert!(!world.steps().fill);
    let name = world.stack().model.fill_job("photos");
    world.observed.jobs.insert(name.clone(), job(json!({})));
    assert!(world.steps().fill && !world.steps().is_filled);
    world.observed.jobs.insert(name.clone(), job(json!({ "succeeded": 1 })));
    assert!(world.steps().fill && world.steps().is_filled);
    // One that somebody has deleted is over.
    world.observed.jobs.get_mut(&name).unwrap().metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(!world.steps().fill && !world.steps().is_filled);
}

#[test]
fn a_collection_is_removed_when_nobody_is_left_who_writes_it() {
    let mut world = World::rolled(LEAVING);
    assert!(world.steps().remove);
    let running = || json!({ "status": { "phase": "Running" } });
    for writer in [Component::IngestWorker, Component::SearchApi, Component::ModelChange] {
        world.run(writer, true, &running());
        assert!(!world.steps().remove, "{writer}");
        world.observed.pods.pop();
    }
    for sender in [Component::IngestApi, Component::IngestWorkerB] {
        world.run(sender, true, &running());
        assert!(world.steps().remove, "{sender}");
        world.run(sender, false, &running());
        assert!(!world.steps().remove, "{sender}");
        world.observed.pods.pop();
    }
    let found = world.observed.deployments["photos-searchapi-b"].clone();
    world.observed.deployments.insert("photos-ingestworker".into(), found);
    assert!(!world.steps().remove, "its pods are about to be made");
    let name = names::remove_job("photos", &ModelChoice { source: "bundled".into(), ..ModelChoice::default() });
    world.observed.jobs.insert(name, job(json!({})));
    assert!(world.steps().remove, "it has begun");
}

#[test]
fn jobs_that_the_last_status_rests_on_stay_until_the_next_one() {
    let world = World::rolled(BUILDING);
    let fill = world.stack().model.fill_job("photos");
    assert_eq!(world.steps().kept_jobs, [fill]);
    let mut world = World::rolled(LEAVING);
    let remove = names::remove_job("photos", &ModelChoice { source: "bundled".into(), ..ModelChoice::default() });
    world.observed.jobs.insert(remove.clone(), job(json!({ "succeeded": 1 })));
    assert_eq!(world.stack().model.plan.beside, None);
    assert_eq!(world.steps().kept_jobs, [remove]);
}

#[test]
fn a_spec_that_is_new_is_applied_before_its_model() {
    let mut resource = resource("{model: {source: 'bundled'}}");
    let model: ModelStatus = serde_saphyr::from_str("{summary: '', current: {source: 's3://models/one'}}").unwrap();
    resource.status.get_or_insert_default().model = Some(model);
    let plan = |seen: i64, resource: &mut crd::ImageSearchStack| {
        resource.status.as_mut().unwrap().observed_generation = Some(seen);
        validate::stack(resource, &observed(), &defaults()).unwrap().unwrap().model.plan
    };
    assert_eq!(plan(0, &mut resource).beside, None);
    assert_eq!(plan(1, &mut resource).beside.unwrap().state, BesideState::Building);
    resource.annotations_mut().insert(crd::PAUSED_ANNOTATION.into(), "true".into());
    assert_eq!(plan(1, &mut resource).beside, None, "nothing moves while it is paused");
}

#[test]
fn a_model_that_is_beside_is_stored_whatever_became_of_its_job() {
    for (state, is_stored) in [("Building", true), ("Kept", true), ("Leaving", false)] {
        let mut resource = resource(SPEC);
        let beside = format!("{{source: 's3://models/other', state: {state}}}");
        let status = format!("{{summary: '', current: {{source: bundled}}, beside: {beside}}}");
        resource.status.get_or_insert_default().model = Some(serde_saphyr::from_str(&status).unwrap());
        let stack = validate::stack(&resource, &observed(), &defaults()).unwrap().unwrap();
        assert_eq!(stack.model.is_stored, is_stored, "{state}");
    }
}

/// A token that was another one made other pods, and their mark stays.
#[test]
fn pods_of_a_model_that_is_no_longer_wanted_keep_their_mark() {
    let mut world = World::rolled(BUILDING);
    let annotations = world.deployment(Component::SearchApi).spec.template.metadata.as_mut().unwrap();
    annotations.annotations.as_mut().unwrap().insert(MODEL_ANNOTATION.into(), "with a token".into());
    let stack = world.stack();
    assert_eq!(stack.model.marks.current, "with a token");
    assert_eq!(stack.model.marks.beside, hash::of(&stack.model.wanted));
}
