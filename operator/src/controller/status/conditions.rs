//! How a stack is, as a whole and by part.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::{Seen, model, parts};
use crate::{
    autoscaler::Scaling,
    controller::{
        apply::Failure,
        names::{COMPONENT_LABEL, Component},
        progress, reasons,
        stack::{RepairState, Stack},
        validate::Fault,
    },
    crd::{AutoscalingMode, Condition, ConditionStatus, ImageSearchStackStatus, PAUSED_ANNOTATION, condition},
};

/// All of them. Those without a generation are about the newest.
pub(super) fn all(seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Vec<Condition> {
    let stack = match seen.stack {
        Ok(stack) => stack,
        Err(faults) => return refused(faults, before),
    };
    let parts = stack.parts().into_iter().map(|part| parts::condition(stack, part, seen, before));
    let mut parts: Vec<Condition> = parts.collect();
    let waiting = parts.iter().find(|condition| condition.status != ConditionStatus::True);
    let intact = stores_intact(stack, seen);
    let mut troubles = troubles(stack, seen, before);
    troubles.extend((intact.status != ConditionStatus::True).then(|| intact.message.clone()));
    let current = model::current(stack, seen, before);
    let pending = Pending {
        waiting,
        change: model::under_way(stack, &current),
        failures: failures(stack, seen, before),
        troubles,
    };
    let overall = overall(seen, before, &pending);
    if seen.is_held_back(before) {
        // They serve what was applied last.
        for part in &mut parts {
            part.observed_generation = before.applied_generation;
        }
    }
    let further = [scaling_active(stack, seen, before), current, intact];
    overall.into_iter().chain(parts).chain(further).collect()
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

/// What is not as it should be.
struct Pending<'a> {
    /// A part that doesn't serve.
    waiting: Option<&'a Condition>,
    /// A change of the model, which every part serves through.
    change: Option<String>,
    failures: Vec<String>,
    troubles: Vec<String>,
}

fn overall(seen: &Seen<'_>, before: &ImageSearchStackStatus, pending: &Pending<'_>) -> [Condition; 3] {
    let Pending { waiting, change, failures, troubles } = pending;
    let waiting =
        waiting.map(|condition| format!("{}: {}", condition.r#type.trim_end_matches("Ready"), condition.message));
    let ready = match (failures.first(), &waiting) {
        _ if seen.is_held_back(before) => {
            Condition::new(condition::READY, ConditionStatus::False, "Paused", held_back(seen, before))
        }
        (Some(failure), _) => Condition::new(condition::READY, ConditionStatus::False, "Failing", failure.clone()),
        (None, Some(waiting)) => Condition::new(condition::READY, ConditionStatus::False, "Starting", waiting.clone()),
        (None, None) => {
            let message = format!("all roles serve generation {}", seen.generation().unwrap_or_default());
            Condition::new(condition::READY, ConditionStatus::True, "Serving", message)
        }
    };
    let progressing = |status, reason, message| Condition::new(condition::PROGRESSING, status, reason, message);
    let progressing = match (waiting, change) {
        _ if seen.paused => progressing(ConditionStatus::False, "Paused", paused()),
        (Some(waiting), _) => progressing(ConditionStatus::True, "RollingOut", waiting),
        (None, Some(change)) => progressing(ConditionStatus::True, "ModelChange", change.clone()),
        (None, None) => progressing(ConditionStatus::False, "AsWanted", "nothing is under way".into()),
    };
    let degraded = match failures.iter().chain(troubles).next() {
        Some(failure) => Condition::new(condition::DEGRADED, ConditionStatus::True, "Failing", failure.clone()),
        None => Condition::new(condition::DEGRADED, ConditionStatus::False, "AsExpected", "nothing fails"),
    };
    [ready, progressing, degraded]
}

pub(super) fn paused() -> String {
    format!("paused by the annotation {PAUSED_ANNOTATION}")
}

fn held_back(seen: &Seen<'_>, before: &ImageSearchStackStatus) -> String {
    let newest = seen.generation().unwrap_or_default();
    let pending = format!("generation {newest} is not applied: {}", paused());
    match before.applied_generation {
        Some(applied) => format!("{pending}; what runs is of generation {applied}"),
        None => pending,
    }
}

/// What won't mend by waiting, and keeps the stack from being ready.
fn failures(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Vec<String> {
    let applied = seen.outcome.into_iter().flat_map(|outcome| &outcome.failures);
    let applied = applied.map(|Failure { child, reason, .. }| format!("{child} could not be applied: {reason}"));
    let waiting =
        stack.parts().into_iter().filter(|component| parts::waits_for(stack, *component, seen, before).is_some());
    let pods = waiting.filter_map(|component| parts::failing_pod(component, seen));
    let first_fetch = parts::failing_fetch(stack, seen).filter(|_| stack.model.is_first());
    applied.chain(pods).chain(first_fetch).collect()
}

/// What won't mend by waiting while everything else goes on.
fn troubles(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Vec<String> {
    let volumes = stack.servers().into_iter().filter_map(|(_, server)| server.volumes.stuck.clone());
    let growth =
        stack.parts().into_iter().filter_map(|component| parts::failing_growth(stack, component, seen, before));
    volumes.chain(growth).chain(model::troubles(stack, seen)).chain(failed_check(seen)).collect()
}

/// The last check that came to an end, if it failed.
fn failed_check(seen: &Seen<'_>) -> Option<String> {
    let is_check = |job: &&Job| {
        let component = job.labels().get(COMPONENT_LABEL).map(String::as_str);
        // A repair is told on its own.
        let scheduled = job.owner_references().iter().any(|owner| owner.kind == "CronJob");
        component == Some(Component::Check.label()) && scheduled
    };
    let ended = |job: &&Job| progress::has_succeeded(job) || progress::given_up(job).is_some();
    let jobs = seen.observed.jobs.values().filter(is_check).filter(ended);
    let last = jobs.max_by_key(|job| job.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let given_up = progress::given_up(last)?;
    let name = last.name_any();
    let reason = reasons::failing_pod_of_job(&seen.observed.pods, &name).unwrap_or(given_up);
    Some(format!("the last check, Job {name}, has failed: {reason}"))
}

fn scaling_active(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Condition {
    let condition =
        |status, reason: &str, message: String| Condition::new(condition::SCALING_ACTIVE, status, reason, message);
    let held = |reason, message: &str| {
        condition(ConditionStatus::False, reason, format!("the number of workers stays as it is: {message}"))
    };
    match (stack.ingestworker.scaling.mode, seen.scaling) {
        (AutoscalingMode::External, _) => {
            condition(ConditionStatus::False, "External", "somebody else says how many workers there are".into())
        }
        (AutoscalingMode::Fixed, _) => {
            condition(ConditionStatus::False, "Fixed", "there are always as many workers".into())
        }
        (AutoscalingMode::Lag, _) if seen.paused => held("Paused", &paused()),
        (AutoscalingMode::Lag, None) => last_reading(before).unwrap_or_else(|| {
            condition(ConditionStatus::Unknown, "Starting", "the queue has not been read yet".into())
        }),
        (AutoscalingMode::Lag, Some(Scaling { active: Err(hold), .. })) => held(hold.reason, &hold.message),
        (AutoscalingMode::Lag, Some(Scaling { active: Ok(()), backlog, .. })) => {
            let lag = backlog.map_or(0, |backlog| backlog.pending + backlog.in_flight);
            condition(ConditionStatus::True, "LagRead", format!("{lag} jobs waiting or in flight"))
        }
    }
}

/// What the operator's last life knew, until this one has looked.
fn last_reading(before: &ImageSearchStackStatus) -> Option<Condition> {
    let last = before.conditions.iter().find(|found| found.r#type == condition::SCALING_ACTIVE)?;
    let was_read = !matches!(last.reason.as_str(), "External" | "Fixed" | "Paused");
    was_read.then(|| last.clone())
}

/// Whether each store has the volume that it had.
fn stores_intact(stack: &Stack, seen: &Seen<'_>) -> Condition {
    let condition = |status, reason, message| Condition::new(condition::STORES_INTACT, status, reason, message);
    let Some(repair) = &stack.repair else {
        return condition(ConditionStatus::True, "VolumesKept", "each store has the volume that it had".to_owned());
    };
    let (claims, job) = (repair.claims.join(", "), &repair.job);
    let lost = |what: String| format!("{claims}: another volume than before, what was kept there is gone; {what}");
    let failing = reasons::failing_pod_of_job(&seen.observed.pods, job);
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
