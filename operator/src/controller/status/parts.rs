//! What each part of a stack waits for, and what keeps its pods from working.

use k8s_openapi::api::apps::v1::Deployment;

use super::Seen;
use crate::{
    controller::{
        names::Component,
        progress, reasons,
        stack::{HttpRole, Replicas, Stack},
    },
    crd::{AutoscalingMode, Condition, ConditionStatus, ImageSearchStackStatus},
};

/// Whether a part's servers, as they are wanted now, all serve.
pub(super) fn condition(
    stack: &Stack,
    component: Component,
    seen: &Seen<'_>,
    before: &ImageSearchStackStatus,
) -> Condition {
    let kind = component.condition();
    if is_external(stack, component) {
        return Condition::new(kind, ConditionStatus::True, "External", "it is run by somebody else");
    }
    match (waits_for(stack, component, seen, before), failing_pod(component, seen)) {
        (None, _) => Condition::new(kind, ConditionStatus::True, "Serving", "everything that is wanted serves"),
        (Some(_), Some(failing)) => Condition::new(kind, ConditionStatus::False, "PodsFailing", failing),
        (Some(waits_for), None) => Condition::new(kind, ConditionStatus::False, "Starting", waits_for),
    }
}

pub(super) fn is_external(stack: &Stack, component: Component) -> bool {
    match component {
        Component::ObjectStore => stack.object_store.managed.is_none(),
        Component::Queue => stack.queue.managed.is_none(),
        Component::Index => stack.index.external,
        _ => false,
    }
}

/// What a part's pods are waited for; `None` when all serve, and when they aren't ours.
pub(super) fn waits_for(
    stack: &Stack,
    component: Component,
    seen: &Seen<'_>,
    before: &ImageSearchStackStatus,
) -> Option<String> {
    match component {
        _ if is_external(stack, component) => None,
        Component::ObjectStore | Component::Queue | Component::Index => server_waits_for(stack, component, seen),
        _ => role_waits_for(stack, component, seen, before),
    }
}

fn server_waits_for(stack: &Stack, component: Component, seen: &Seen<'_>) -> Option<String> {
    match seen.stateful_set(&stack.child(component)) {
        Some(set) => progress::stateful_set_waits_for(set),
        None if component == Component::Index => Some("waits for the object store".into()),
        None => Some("is not there yet".into()),
    }
}

fn role_waits_for(
    stack: &Stack,
    component: Component,
    seen: &Seen<'_>,
    before: &ImageSearchStackStatus,
) -> Option<String> {
    // Pods with the last model may serve well, and are not what the spec says.
    if component.loads_model() && stack.model.is_first() && !seen.is_held_back(before) {
        return Some("waits for the model, which is being fetched".into());
    }
    let Some(deployment) = seen.deployment(&stack.child(component)) else { return Some("is not there yet".into()) };
    let least = least(stack, component);
    // Whoever scales a Deployment changes it. What served this very spec before that still does.
    if least.is_some() && !progress::is_looked_at(deployment) && has_served(component, seen, before) {
        return None;
    }
    if serves_through_change(stack, component, deployment, seen, before) {
        return None;
    }
    // None need to be there, but if there are to be some and none can work, nothing is done.
    let least = least.map(|least| if failing_pod(component, seen).is_some() { least.max(1) } else { least });
    progress::deployment_waits_for(deployment, least)
}

/// Steps of a change of the model roll roles that have served this very spec before. They still do, as long as there are as many
/// pods, new ones or old ones.
fn serves_through_change(
    stack: &Stack,
    component: Component,
    deployment: &Deployment,
    seen: &Seen<'_>,
    before: &ImageSearchStackStatus,
) -> bool {
    let wanted = progress::wanted(deployment);
    let needed = least(stack, component).map_or(wanted, |least| least.min(wanted));
    let is_under_way = stack.model.plan.beside.is_some();
    is_under_way && has_served(component, seen, before) && progress::available(deployment) >= needed
}

/// How many pods of a role there have to be where their load says how many there are; `None` where all have to.
fn least(stack: &Stack, component: Component) -> Option<i32> {
    let by_load = |role: &HttpRole| match &role.replicas {
        Replicas::ByLoad(scale) => Some(scale.min),
        Replicas::Fixed(_) => None,
    };
    match component {
        Component::IngestWorker | Component::IngestWorkerB => {
            let scaling = &stack.ingestworker.scaling;
            (scaling.mode != AutoscalingMode::Fixed).then_some(scaling.min)
        }
        Component::IngestApi => by_load(&stack.ingestapi),
        Component::SearchApi | Component::SearchApiB => by_load(&stack.searchapi),
        Component::CdnApi => by_load(&stack.cdnapi),
        Component::Frontend => by_load(&stack.frontend),
        _ => None,
    }
}

fn has_served(component: Component, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> bool {
    let found = before.conditions.iter().find(|found| found.r#type == component.condition());
    found.is_some_and(|found| found.status == ConditionStatus::True && found.observed_generation == seen.generation())
}

/// What keeps a part's newest pod from working.
pub(super) fn failing_pod(component: Component, seen: &Seen<'_>) -> Option<String> {
    reasons::failing_pod(&seen.observed.pods, component.label())
}

/// What keeps further pods of a role from working, or those of another configuration, while as many as there have to be serve.
pub(super) fn failing_growth(
    stack: &Stack,
    component: Component,
    seen: &Seen<'_>,
    before: &ImageSearchStackStatus,
) -> Option<String> {
    let deployment = seen.deployment(&stack.child(component))?;
    let grows = least(stack, component).is_some() && progress::available(deployment) < progress::wanted(deployment);
    let rolls = serves_through_change(stack, component, deployment, seen, before)
        && progress::deployment_waits_for(deployment, Some(0)).is_some();
    let serves = (grows || rolls) && waits_for(stack, component, seen, before).is_none();
    serves.then(|| failing_pod(component, seen)).flatten()
}

/// Why the model can't be fetched.
pub(super) fn failing_fetch(stack: &Stack, seen: &Seen<'_>) -> Option<String> {
    if stack.model.is_stored || stack.model.is_current() {
        return None;
    }
    let job = &stack.model.job;
    let given_up = || {
        let reason = progress::given_up(seen.observed.jobs.get(job)?)?;
        Some(format!("the Job {job} has failed: {reason}"))
    };
    reasons::failing_pod_of_job(&seen.observed.pods, job).or_else(given_up)
}

/// Whether the pods that searches go to are made for the model of the spec.
pub(super) fn is_model_applied(stack: &Stack, seen: &Seen<'_>) -> bool {
    let deployment = seen.deployment(&stack.child(stack.searchapi_in_use()));
    stack.model.is_current() && deployment.is_some_and(|found| progress::loads(found, &stack.model.marks.current))
}

/// Whether searches are answered with the model of the spec, by every pod.
pub(super) fn searches_with_model(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> bool {
    is_model_applied(stack, seen) && waits_for(stack, stack.searchapi_in_use(), seen, before).is_none()
}
