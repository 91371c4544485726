//! What is said of a stack: from what the API server returned, never from what was asked for. It is written only when it
//! differs from what is there, and each difference that a person would want to know of is an event.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder},
};
use serde_json::json;

use super::{
    apply::{FIELD_MANAGER, Failure, Outcome},
    build,
    error::ReconcileError,
    fetch::Observed,
    names::Component,
    progress, reasons,
    stack::{RepairState, Stack},
    validate::Fault,
    volumes,
};
use crate::{
    autoscaler::Scaling,
    crd::{
        AutoscalingMode, Condition, ConditionStatus, Endpoints, ImageSearchStack, ImageSearchStackStatus, IngestStatus,
        IngressType, ModelName, ModelStatus, condition,
    },
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

/// Writes the status if it says something new; tells of it. Gives whether the stack is ready.
///
/// # Errors
/// When it can't be written.
pub(crate) async fn update(seen: &Seen<'_>, client: &Client, recorder: &Recorder) -> Result<bool, ReconcileError> {
    let before = seen.resource.status.clone().unwrap_or_default();
    let after = status(seen, &before, Timestamp::now());
    let is_ready =
        |condition: &Condition| condition.r#type == condition::READY && condition.status == ConditionStatus::True;
    let is_ready = after.conditions.iter().any(is_ready);
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
    for event in events(&before, &after) {
        if let Err(error) = recorder.publish(&event, &seen.resource.object_ref(&())).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an event could not be published");
        }
    }
    Ok(is_ready)
}

/// The whole status; times of conditions that stay as they were stay too.
pub(crate) fn status(seen: &Seen<'_>, before: &ImageSearchStackStatus, now: Timestamp) -> ImageSearchStackStatus {
    let generation = seen.resource.metadata.generation;
    let mut conditions = conditions(seen, before);
    for condition in &mut conditions {
        condition.observed_generation = generation;
        let found = before.conditions.iter().find(|found| found.r#type == condition.r#type);
        condition.last_transition_time = match found {
            Some(found) if found.status == condition.status => found.last_transition_time.clone(),
            _ => Time(now),
        };
    }
    ImageSearchStackStatus {
        observed_generation: generation,
        conditions,
        endpoints: seen.stack.ok().map(endpoints).or_else(|| before.endpoints.clone()),
        ingest: ingest(seen).or_else(|| before.ingest.clone()),
        model: seen.stack.ok().map(|stack| model(stack, before)).or_else(|| before.model.clone()),
        volumes: volumes(seen, before),
    }
}

fn conditions(seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Vec<Condition> {
    let stack = match seen.stack {
        Ok(stack) => stack,
        Err(faults) => return refused(faults, before),
    };
    let mut all: Vec<Condition> =
        Component::WITH_CONDITION.into_iter().map(|component| of_component(stack, component, seen)).collect();
    let waiting = all.iter().find(|condition| condition.status != ConditionStatus::True);
    let intact = stores_intact(stack, seen);
    let mut troubles = stuck_volumes(stack);
    troubles.extend((intact.status != ConditionStatus::True).then(|| intact.message.clone()));
    let overall = overall(seen, waiting, &failures(stack, seen), &troubles);
    all.splice(0..0, overall);
    all.push(scaling_active(stack, seen));
    all.push(model_current(stack, seen));
    all.push(intact);
    all
}

/// What was is left, but for what the spec is refused for.
fn refused(faults: &[Fault], before: &ImageSearchStackStatus) -> Vec<Condition> {
    let waiting = faults.iter().all(|fault| fault.waiting);
    let reason = if waiting { "Waiting" } else { "InvalidSpec" };
    let message = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut all = vec![
        Condition::new(condition::READY, ConditionStatus::False, reason, message.clone()),
        Condition::new(condition::PROGRESSING, ConditionStatus::False, reason, "nothing is changed meanwhile"),
        Condition::new(condition::DEGRADED, ConditionStatus::True, reason, message),
    ];
    let kept = before.conditions.iter().filter(|found| all.iter().all(|condition| condition.r#type != found.r#type));
    let kept: Vec<Condition> = kept.cloned().collect();
    all.extend(kept);
    all
}

fn overall(seen: &Seen<'_>, waiting: Option<&Condition>, failures: &[String], troubles: &[String]) -> [Condition; 3] {
    let generation = seen.resource.metadata.generation.unwrap_or_default();
    let waiting =
        waiting.map(|condition| format!("{}: {}", condition.r#type.trim_end_matches("Ready"), condition.message));
    let ready = match (failures.first(), &waiting) {
        (Some(failure), _) => Condition::new(condition::READY, ConditionStatus::False, "Failing", failure.clone()),
        (None, Some(waiting)) => Condition::new(condition::READY, ConditionStatus::False, "Starting", waiting.clone()),
        (None, None) => {
            let message = format!("all roles serve generation {generation}");
            Condition::new(condition::READY, ConditionStatus::True, "Serving", message)
        }
    };
    let progressing = |status, reason, message| Condition::new(condition::PROGRESSING, status, reason, message);
    let progressing = match waiting {
        _ if seen.paused => {
            let message = format!("paused by the annotation {}", crate::crd::PAUSED_ANNOTATION);
            progressing(ConditionStatus::False, "Paused", message)
        }
        Some(waiting) => progressing(ConditionStatus::True, "RollingOut", waiting),
        None => progressing(ConditionStatus::False, "AsWanted", "nothing is under way".into()),
    };
    let degraded = match failures.iter().chain(troubles).next() {
        Some(failure) => Condition::new(condition::DEGRADED, ConditionStatus::True, "Failing", failure.clone()),
        None => Condition::new(condition::DEGRADED, ConditionStatus::False, "AsExpected", "nothing fails"),
    };
    [ready, progressing, degraded]
}

/// What won't mend by waiting.
fn failures(stack: &Stack, seen: &Seen<'_>) -> Vec<String> {
    let applied = seen.outcome.into_iter().flat_map(|outcome| &outcome.failures);
    let applied = applied.map(|Failure { child, reason, .. }| format!("{child} could not be applied: {reason}"));
    let components = Component::WITH_CONDITION.into_iter().chain([Component::Model]);
    let pods = components
        .filter(|component| waits_for(stack, *component, seen).is_some())
        .filter_map(|component| reasons::failing_pod(&seen.observed.pods, component.label()));
    applied.chain(pods).collect()
}

/// Volumes that can't grow: everything else goes on.
fn stuck_volumes(stack: &Stack) -> Vec<String> {
    stack.servers().into_iter().filter_map(|(_, server)| server.volumes.stuck.clone()).collect()
}

fn of_component(stack: &Stack, component: Component, seen: &Seen<'_>) -> Condition {
    let kind = component.condition();
    if is_external(stack, component) {
        return Condition::new(kind, ConditionStatus::True, "External", "it is run by somebody else");
    }
    match (waits_for(stack, component, seen), reasons::failing_pod(&seen.observed.pods, component.label())) {
        (None, _) => Condition::new(kind, ConditionStatus::True, "Serving", "everything that is wanted serves"),
        (Some(_), Some(failing)) => Condition::new(kind, ConditionStatus::False, "PodsFailing", failing),
        (Some(waits_for), None) => Condition::new(kind, ConditionStatus::False, "Starting", waits_for),
    }
}

fn is_external(stack: &Stack, component: Component) -> bool {
    match component {
        Component::ObjectStore => stack.object_store.managed.is_none(),
        Component::Queue => stack.queue.managed.is_none(),
        Component::Index => stack.index.external,
        _ => false,
    }
}

/// What a component's pods are waited for; `None` when all serve, and when they aren't ours.
fn waits_for(stack: &Stack, component: Component, seen: &Seen<'_>) -> Option<String> {
    match component {
        _ if is_external(stack, component) => None,
        Component::ObjectStore | Component::Queue | Component::Index => server_waits_for(stack, component, seen),
        Component::Model => (!stack.model.stored).then(|| "is being fetched".into()),
        _ => deployment_waits_for(stack, component, seen),
    }
}

fn server_waits_for(stack: &Stack, component: Component, seen: &Seen<'_>) -> Option<String> {
    let name = stack.child(component);
    let applied = seen.outcome.and_then(|outcome| outcome.stateful_sets.get(&name));
    match applied.or_else(|| seen.observed.stateful_sets.get(&name)) {
        Some(set) => progress::stateful_set_waits_for(set),
        None if component == Component::Index => Some("waits for the object store".into()),
        None => Some("is not there yet".into()),
    }
}

fn deployment_waits_for(stack: &Stack, component: Component, seen: &Seen<'_>) -> Option<String> {
    let name = stack.child(component);
    let applied = seen.outcome.and_then(|outcome| outcome.deployments.get(&name));
    match applied.or_else(|| seen.observed.deployments.get(&name)) {
        Some(deployment) => progress::deployment_waits_for(deployment),
        None if !stack.model.stored => Some("waits for the model, which is being fetched".into()),
        None => Some("is not there yet".into()),
    }
}

fn scaling_active(stack: &Stack, seen: &Seen<'_>) -> Condition {
    let condition =
        |status, reason: &str, message: String| Condition::new(condition::SCALING_ACTIVE, status, reason, message);
    match stack.ingestworker.scaling.mode {
        AutoscalingMode::External => {
            condition(ConditionStatus::False, "External", "somebody else says how many workers there are".into())
        }
        AutoscalingMode::Fixed => condition(ConditionStatus::False, "Fixed", "there are always as many workers".into()),
        AutoscalingMode::Lag => match seen.scaling {
            None => condition(ConditionStatus::Unknown, "Starting", "the queue has not been read yet".into()),
            Some(Scaling { active: Err(hold), .. }) => condition(
                ConditionStatus::False,
                hold.reason,
                format!("the number of workers stays as it is: {}", hold.message),
            ),
            Some(Scaling { active: Ok(()), backlog, .. }) => {
                let lag = backlog.map_or(0, |backlog| backlog.pending + backlog.in_flight);
                condition(ConditionStatus::True, "LagRead", format!("{lag} jobs waiting or in flight"))
            }
        },
    }
}

fn model_current(stack: &Stack, seen: &Seen<'_>) -> Condition {
    let source = &stack.model.wanted.source;
    if stack.model.stored {
        let waits = deployment_waits_for(stack, Component::SearchApi, seen).is_some();
        let (status, reason) =
            if waits { (ConditionStatus::False, "RollingOut") } else { (ConditionStatus::True, "Current") };
        return Condition::new(condition::MODEL_CURRENT, status, reason, format!("searches use {source}"));
    }
    match reasons::failing_pod(&seen.observed.pods, Component::Model.label()) {
        Some(failing) => Condition::new(condition::MODEL_CURRENT, ConditionStatus::False, "FetchFailing", failing),
        None => Condition::new(
            condition::MODEL_CURRENT,
            ConditionStatus::False,
            "Fetching",
            format!("{source} is being fetched into the object store"),
        ),
    }
}

/// Whether each store has the volume that it had.
fn stores_intact(stack: &Stack, seen: &Seen<'_>) -> Condition {
    let condition = |status, reason, message| Condition::new(condition::STORES_INTACT, status, reason, message);
    let Some(repair) = &stack.repair else {
        return condition(ConditionStatus::True, "VolumesKept", "each store has the volume that it had".to_owned());
    };
    let (claims, job) = (repair.claims.join(", "), &repair.job);
    let lost = |what: String| format!("{claims}: another volume than before, what was kept there is gone; {what}");
    let failing = reasons::failing_pod(&seen.observed.pods, Component::Check.label());
    match (repair.state, failing) {
        (RepairState::Ended, _) => condition(
            ConditionStatus::True,
            "Repaired",
            lost(format!("the Job {job} has repaired what the other stores tell")),
        ),
        (RepairState::Waiting, _) => {
            condition(ConditionStatus::False, "Repairing", lost("the repair waits for the stores".into()))
        }
        (RepairState::Running, None) => condition(
            ConditionStatus::False,
            "Repairing",
            lost(format!("the Job {job} repairs what the other stores tell")),
        ),
        (RepairState::Running, Some(failing)) => condition(ConditionStatus::False, "RepairFailing", lost(failing)),
        (RepairState::Failed, _) => condition(
            ConditionStatus::False,
            "RepairFailing",
            lost(format!("the Job {job} has failed: read its log, and delete it to have it made again")),
        ),
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

fn ingest(seen: &Seen<'_>) -> Option<IngestStatus> {
    let stack = seen.stack.ok()?;
    let name = stack.child(Component::IngestWorker);
    let deployment = seen
        .outcome
        .and_then(|outcome| outcome.deployments.get(&name))
        .or_else(|| seen.observed.deployments.get(&name));
    let ready = deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas).unwrap_or(0);
    let workers = format!("{ready}/{}", stack.ingestworker.scaling.max);
    let backlog = seen.scaling.and_then(|scaling| scaling.backlog);
    let (pending, in_flight) = backlog.map_or((0, 0), |backlog| (backlog.pending as i64, backlog.in_flight as i64));
    Some(IngestStatus {
        pending,
        in_flight,
        lag: pending + in_flight,
        desired_replicas: seen.scaling.and_then(|scaling| scaling.desired),
        workers,
        oldest_job_since: backlog.and_then(|backlog| backlog.oldest_job_since).map(Time),
    })
}

fn model(stack: &Stack, before: &ImageSearchStackStatus) -> ModelStatus {
    let source = stack.model.wanted.source.clone();
    let current = if stack.model.stored {
        Some(ModelName { source: source.clone() })
    } else {
        before.model.as_ref().and_then(|model| model.current.clone())
    };
    let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or(&source);
    let summary = if stack.model.stored { name.to_owned() } else { format!("{name} (fetching)") };
    ModelStatus { summary, current }
}

/// One for each condition that became another, by its status or its reason; none while a stack is first looked at, but for
/// what is wrong with it.
fn events(before: &ImageSearchStackStatus, after: &ImageSearchStackStatus) -> Vec<Event> {
    let mut events = Vec::new();
    let is_ready = after
        .conditions
        .iter()
        .any(|condition| condition.r#type == condition::READY && condition.status == ConditionStatus::True);
    for condition in &after.conditions {
        let found = before.conditions.iter().find(|found| found.r#type == condition.r#type);
        let same = found.is_some_and(|found| (found.status, &found.reason) == (condition.status, &condition.reason));
        let good = condition.status == ConditionStatus::True;
        let told = match condition.r#type.as_str() {
            // The others say it in more detail.
            condition::PROGRESSING => false,
            // Otherwise `Ready` says it.
            condition::DEGRADED => good && is_ready,
            condition::SCALING_ACTIVE => found.is_some(),
            _ => good || found.is_some() || is_fault(&condition.reason),
        };
        if same || !told {
            continue;
        }
        let bad = condition.r#type == condition::DEGRADED || is_fault(&condition.reason);
        events.push(Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: format!("{}{}", condition.r#type.trim_end_matches("Ready"), condition.reason),
            note: Some(condition.message.chars().take(1000).collect()),
            action: "Reconcile".into(),
            secondary: None,
        });
    }
    events
}

fn is_fault(reason: &str) -> bool {
    matches!(
        reason,
        "Failing" | "Repairing" | "RepairFailing" | "PodsFailing" | "FetchFailing" | "InvalidSpec" | "Waiting"
    )
}
