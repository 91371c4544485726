//! What is said of a stack while its children come and go: a cluster in memory, in which whatever is applied is there.
#![allow(clippy::unwrap_used)]

mod events;
mod jobs;
mod model;
mod paused;
mod ready;
mod refused;
mod scaling;

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::Pod,
    },
    jiff::Timestamp,
};
use kube::{ResourceExt, api::DynamicObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Seen, status};
use crate::{
    autoscaler::Scaling,
    controller::{
        apply::{self, Failure, Outcome},
        build,
        fetch::Observed,
        stack::Stack,
        tests::{PRODUCTION, defaults, observed, resource, secret},
        validate,
    },
    crd::{Condition, ConditionStatus, ImageSearchStackStatus, PAUSED_ANNOTATION},
};

struct Cluster {
    spec: String,
    generation: i64,
    paused: bool,
    observed: Observed,
    scaling: Option<Scaling>,
    /// What can't be applied.
    failures: Vec<Failure>,
    status: ImageSearchStackStatus,
}

impl Cluster {
    fn new(spec: &str) -> Self {
        Self {
            spec: spec.to_owned(),
            generation: 1,
            paused: false,
            observed: observed(),
            scaling: None,
            failures: Vec::new(),
            status: ImageSearchStackStatus::default(),
        }
    }

    /// A stack that serves.
    fn serving(spec: &str) -> Self {
        let mut cluster = Self::new(spec);
        // What comes first lets what comes next begin.
        for _ in 0..2 {
            cluster.reconcile();
            cluster.serve();
        }
        cluster.reconcile();
        assert_eq!(cluster.ready(), (ConditionStatus::True, "Serving"), "{:#?}", cluster.status);
        cluster
    }

    fn change(&mut self, spec: &str) {
        spec.clone_into(&mut self.spec);
        self.generation += 1;
    }

    fn reconcile(&mut self) {
        let mut resource = resource(&self.spec);
        resource.metadata.generation = Some(self.generation);
        if self.paused {
            resource.annotations_mut().insert(PAUSED_ANNOTATION.into(), "true".into());
        }
        resource.status = Some(self.status.clone());
        let stack = validate::stack(&resource, &self.observed, &defaults()).unwrap();
        let outcome = stack.as_ref().ok().filter(|_| !self.paused).map(|stack| self.apply(stack));
        let seen = Seen {
            resource: &resource,
            observed: &self.observed,
            stack: stack.as_ref().map_err(Vec::as_slice),
            outcome: outcome.as_ref(),
            scaling: self.scaling.as_ref(),
            paused: self.paused,
        };
        self.status = status(&seen, &self.status, Timestamp::UNIX_EPOCH);
    }

    fn apply(&mut self, stack: &Stack) -> Outcome {
        let mut outcome = Outcome { failures: self.failures.clone(), ..Outcome::default() };
        let mut built = BTreeSet::new();
        for child in apply::in_order(build::children(stack)) {
            let name = child.object.name_any();
            built.insert((child.kind.kind.clone(), name.clone()));
            match child.kind.kind.as_str() {
                "Deployment" => {
                    let found = self.observed.deployments.get(&name);
                    let deployment: Deployment = applied(&child.object, found, stack.ingestworker.scaling.min);
                    outcome.deployments.insert(name.clone(), deployment.clone());
                    self.observed.deployments.insert(name, deployment);
                }
                "StatefulSet" => {
                    let set: StatefulSet = applied(&child.object, self.observed.stateful_sets.get(&name), 1);
                    outcome.stateful_sets.insert(name.clone(), set.clone());
                    self.observed.stateful_sets.insert(name, set);
                }
                "Job" => {
                    self.observed.jobs.entry(name).or_insert_with(|| child.object.try_parse().unwrap());
                }
                _ => {}
            }
        }
        self.prune(stack, &built);
        outcome
    }

    /// What nobody wants goes, and its pods with it.
    fn prune(&mut self, stack: &Stack, built: &BTreeSet<(String, String)>) {
        let is_built = |kind: &str, name: &str| built.contains(&(kind.to_owned(), name.to_owned()));
        let is_ours = |job: &Job| job.owner_references().iter().all(|owner| owner.kind != "CronJob");
        let kept = &stack.model.steps.kept_jobs;
        self.observed.jobs.retain(|name, job| is_built("Job", name) || kept.contains(name) || !is_ours(job));
        if !stack.model.is_first() {
            self.observed.deployments.retain(|name, _| is_built("Deployment", name));
        }
    }

    /// Everything is rolled out and ready.
    fn serve(&mut self) {
        for deployment in self.observed.deployments.values_mut() {
            deployment.status = Some(from(all_ready(deployment.metadata.generation, deployment.spec.replicas)));
        }
        for set in self.observed.stateful_sets.values_mut() {
            set.status = Some(from(all_ready(set.metadata.generation, set.spec.replicas)));
        }
    }

    fn deployment(&mut self, name: &str) -> &mut Deployment {
        self.observed.deployments.get_mut(name).unwrap()
    }

    /// A Job has come to its end.
    fn end(&mut self, job: &str, status: Value) {
        let jobs: Vec<&String> = self.observed.jobs.keys().collect();
        assert!(self.observed.jobs.contains_key(job), "{job} is not among {jobs:?}");
        self.observed.jobs.get_mut(job).unwrap().status = Some(from(status));
    }

    /// As an autoscaler does it, and the API server counts it.
    fn scale(&mut self, name: &str, replicas: i32) {
        let deployment = self.deployment(name);
        deployment.spec.replicas = Some(replicas);
        *deployment.metadata.generation.as_mut().unwrap() += 1;
    }

    /// The controller of Deployments has made as many pods as there are to be; no further one is ready yet.
    fn make_pods(&mut self, name: &str) {
        let deployment = self.deployment(name);
        let (generation, replicas) = (deployment.metadata.generation, deployment.spec.replicas);
        let status = deployment.status.as_mut().unwrap();
        (status.observed_generation, status.replicas, status.updated_replicas) = (generation, replicas, replicas);
    }

    fn condition(&self, kind: &str) -> &Condition {
        self.status.conditions.iter().find(|condition| condition.r#type == kind).unwrap()
    }

    /// Status and reason of a condition.
    fn says(&self, kind: &str) -> (ConditionStatus, &str) {
        let condition = self.condition(kind);
        (condition.status, condition.reason.as_str())
    }

    fn ready(&self) -> (ConditionStatus, &str) {
        self.says("Ready")
    }
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// What the API server returns: a generation that counts changes, and the status that was there.
fn applied<T: Serialize + DeserializeOwned>(object: &DynamicObject, found: Option<&T>, first_replicas: i32) -> T {
    let found = serde_json::to_value(found).unwrap();
    let mut applied = serde_json::to_value(object).unwrap();
    if applied["spec"]["replicas"].is_null() {
        let kept = &found["spec"]["replicas"];
        applied["spec"]["replicas"] = if kept.is_null() { json!(first_replicas) } else { kept.clone() };
    }
    let last = found["metadata"]["generation"].as_i64().unwrap_or(0);
    let same = ["template", "replicas"].iter().all(|part| found["spec"][part] == applied["spec"][part]);
    applied["metadata"]["generation"] = json!(if same { last } else { last + 1 });
    if !found["status"].is_null() {
        applied["status"] = found["status"].clone();
    }
    from(applied)
}

fn all_ready(generation: Option<i64>, replicas: Option<i32>) -> Value {
    json!({
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
        "availableReplicas": replicas, "currentRevision": "one", "updateRevision": "one",
    })
}

/// A pod of a component that can't work.
fn broken_pod(name: &str, component: &str, job: Option<&str>) -> Pod {
    let mut pod = json!({
        "metadata": { "name": name, "labels": { "app.kubernetes.io/component": component } },
        "spec": { "containers": [] },
        "status": { "containerStatuses": [{
            "name": component, "ready": false, "image": "i", "imageID": "", "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "message": "error: it is all wrong" } },
        }] },
    });
    if let Some(job) = job {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = json!(job);
        pod["spec"]["restartPolicy"] = json!("OnFailure");
    }
    from(pod)
}
