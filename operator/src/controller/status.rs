//! What is said of a stack: from what the API server returned, never from what was asked for. It is written only when it
//! differs from what is there, and each difference that a person would want to know of is an event.

mod conditions;
mod events;
mod model;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, StatefulSet},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::Recorder,
};
use serde_json::json;

use super::{
    apply::{FIELD_MANAGER, Outcome},
    build,
    error::ReconcileError,
    fetch::Observed,
    names::Component,
    stack::{RepairState, Stack},
    validate::Fault,
    volumes,
};
use crate::{
    autoscaler::Scaling,
    crd::{Condition, Endpoints, ImageSearchStack, ImageSearchStackStatus, IngestStatus, IngressType},
};

/// Everything that a status follows from.
pub(crate) struct Seen<'a> {
    pub(crate) resource: &'a ImageSearchStack,
    pub(crate) observed: &'a Observed,
    pub(crate) stack: Result<&'a Stack, &'a [Fault]>,
    /// Absent when nothing was applied.
    pub(crate) outcome: Option<&'a Outcome>,
    pub(crate) scaling: Option<&'a Scaling>,
    pub(crate) paused: bool,
}

impl Seen<'_> {
    /// A Deployment as it was applied; as it was found where none was.
    fn deployment(&self, name: &str) -> Option<&Deployment> {
        let applied = self.outcome.and_then(|outcome| outcome.deployments.get(name));
        applied.or_else(|| self.observed.deployments.get(name))
    }

    /// A StatefulSet as it was applied; as it was found where none was.
    fn stateful_set(&self, name: &str) -> Option<&StatefulSet> {
        let applied = self.outcome.and_then(|outcome| outcome.stateful_sets.get(name));
        applied.or_else(|| self.observed.stateful_sets.get(name))
    }

    fn generation(&self) -> Option<i64> {
        self.resource.metadata.generation
    }

    /// The generation that everything was last brought to. A change of the model may still go on.
    fn applied_generation(&self, before: &ImageSearchStackStatus) -> Option<i64> {
        let is_whole = |stack: &Stack, outcome: &Outcome| !stack.model.is_first() && outcome.failures.is_empty();
        match (self.stack, self.outcome) {
            (Ok(stack), Some(outcome)) if is_whole(stack, outcome) => self.generation(),
            _ => before.applied_generation,
        }
    }

    /// The spec says something that isn't applied as long as the stack is paused.
    fn is_held_back(&self, before: &ImageSearchStackStatus) -> bool {
        self.paused && self.applied_generation(before) != self.generation()
    }
}

/// Writes the status if it says something new; tells of it. Gives whether the stack is ready.
///
/// # Errors
/// When it can't be written.
pub(crate) async fn update(seen: &Seen<'_>, client: &Client, recorder: &Recorder) -> Result<bool, ReconcileError> {
    let before = seen.resource.status.clone().unwrap_or_default();
    let after = status(seen, &before, Timestamp::now());
    let is_ready = after.conditions.iter().any(Condition::is_ready);
    if after == before {
        return Ok(is_ready);
    }
    let namespace = seen.resource.namespace().ok_or(ReconcileError::NoNamespace)?;
    let api = Api::<ImageSearchStack>::namespaced(client.clone(), &namespace);
    let patch = json!({
        "apiVersion": ImageSearchStack::api_version(&()), "kind": ImageSearchStack::kind(&()), "status": after,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch_status(&seen.resource.name_any(), &parameters, &Patch::Apply(&patch)).await;
    match written {
        // It was deleted meanwhile.
        Err(kube::Error::Api(error)) if error.is_not_found() => return Ok(is_ready),
        written => written.map_err(ReconcileError::Status)?,
    };
    for event in events::between(&before, &after) {
        if let Err(error) = recorder.publish(&event, &seen.resource.object_ref(&())).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an event could not be published");
        }
    }
    Ok(is_ready)
}

/// The whole status; times of conditions that stay as they were stay too.
pub(crate) fn status(seen: &Seen<'_>, before: &ImageSearchStackStatus, now: Timestamp) -> ImageSearchStackStatus {
    let mut conditions = conditions::all(seen, before);
    for condition in &mut conditions {
        // One that was kept is still about the generation that it was made for.
        condition.observed_generation = condition.observed_generation.or(seen.generation());
        let found = before.conditions.iter().find(|found| found.r#type == condition.r#type);
        condition.last_transition_time = match found {
            Some(found) if found.status == condition.status => found.last_transition_time.clone(),
            _ => Time(now),
        };
    }
    // What isn't applied is nowhere yet.
    let stack = seen.stack.ok().filter(|_| !seen.is_held_back(before));
    ImageSearchStackStatus {
        observed_generation: seen.generation(),
        applied_generation: seen.applied_generation(before),
        conditions,
        endpoints: stack.map(endpoints).or_else(|| before.endpoints.clone()),
        ingest: ingest(seen, before).or_else(|| before.ingest.clone()),
        model: stack.map(|stack| model::status(stack, seen, before)).or_else(|| before.model.clone()),
        volumes: volumes(seen, before),
    }
}

/// Ids of the volumes that are known of. One that was replaced is told as long as that isn't repaired.
fn volumes(seen: &Seen<'_>, before: &ImageSearchStackStatus) -> BTreeMap<String, String> {
    let mut volumes = before.volumes.clone();
    let Ok(stack) = seen.stack else { return volumes };
    let repaired = stack.repair.as_ref().is_none_or(|repair| repair.state == RepairState::Ended);
    for (claim, id) in volumes::identities(seen.observed) {
        if repaired {
            volumes.insert(claim, id);
        } else {
            volumes.entry(claim).or_insert(id);
        }
    }
    volumes
}

fn endpoints(stack: &Stack) -> Endpoints {
    let inside = |component, port: u16| format!("http://{}.{}:{port}", stack.child(component), stack.namespace);
    let external = stack.ingress.as_ref().and_then(|ingress| {
        let host = ingress.host.as_deref()?;
        let secure = ingress.tls_secret_name.is_some() || ingress.r#type == IngressType::Gateway;
        Some(format!("{}://{host}", if secure { "https" } else { "http" }))
    });
    Endpoints {
        external,
        frontend: inside(Component::Frontend, build::FRONTEND_PORT),
        ingest: inside(Component::IngestApi, build::INGESTAPI_PORT),
        search: inside(Component::SearchApi, build::SEARCHAPI_PORT),
        images: inside(Component::CdnApi, build::CDNAPI_PORT),
    }
}

/// What was read last stays while nothing is read: before the first look of a new process, and while the stack is paused.
fn ingest(seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Option<IngestStatus> {
    let stack = seen.stack.ok()?;
    let deployment = seen.deployment(&stack.child(stack.ingestworker_in_use()));
    let ready = deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas).unwrap_or(0);
    let workers = format!("{ready}/{}", stack.ingestworker.scaling.max);
    let last = before.ingest.clone().unwrap_or_default();
    let desired_replicas = seen.scaling.map_or(last.desired_replicas, |scaling| scaling.desired);
    let Some(backlog) = seen.scaling.and_then(|scaling| scaling.backlog) else {
        return Some(IngestStatus { desired_replicas, workers, ..last });
    };
    let (pending, in_flight) = (backlog.pending as i64, backlog.in_flight as i64);
    Some(IngestStatus {
        pending,
        in_flight,
        lag: pending + in_flight,
        desired_replicas,
        workers,
        oldest_job_since: backlog.oldest_job_since.map(Time),
    })
}
