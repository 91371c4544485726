//! Which model searches use, and how far a change to another one is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Seen, conditions::paused, parts};
use crate::{
    autoscaler::{Known, Progress},
    controller::{
        model::Plan,
        names, progress, reasons,
        stack::{Model, Stack},
    },
    crd::{
        BesideState, Condition, ConditionStatus, ImageSearchStackStatus, KnownModel, ModelProgress, ModelStatus,
        condition::MODEL_CURRENT,
    },
};

/// Reasons of a change that goes on; those of one that does not are `Refused` and `Paused`.
const UNDER_WAY: [&str; 5] = ["Fetching", "FetchFailing", "Reindexing", "Loading", "Removing"];

pub(super) fn status(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> ModelStatus {
    let model = &stack.model;
    let Plan { mut current, mut beside } = model.plan.clone();
    if let Some(told) = told(model, seen) {
        name(current.as_mut().map(|current| &mut current.model), &told.current);
        name(beside.as_mut().map(|beside| &mut beside.model), &told.model);
    }
    let known = beside.as_ref().map(|beside| &beside.model).filter(|known| known.choice == model.wanted);
    let target = known.cloned().unwrap_or_else(|| KnownModel { choice: model.wanted.clone(), fingerprint: None });
    let progress = progress(model, seen, before);
    ModelStatus {
        summary: summary(model, progress.as_ref()),
        target: (!model.is_current()).then_some(target),
        current,
        beside,
        progress,
    }
}

/// What was told of the model that is built.
fn told<'a>(model: &Model, seen: &Seen<'a>) -> Option<&'a Progress> {
    let told = seen.scaling?.progress.as_ref()?;
    (model.is_building() && told.model.source == model.wanted.source).then_some(told)
}

/// Takes over what a model is called in the stores.
fn name(model: Option<&mut KnownModel>, told: &Known) {
    if let Some(model) = model.filter(|model| model.choice.source == told.source) {
        model.fingerprint = Some(told.fingerprint.clone());
    }
}

fn summary(model: &Model, progress: Option<&ModelProgress>) -> String {
    let percent = progress.and_then(|progress| progress.percent);
    match (last_part(&model.wanted.source), percent) {
        (wanted, _) if !model.is_current() && !model.is_stored => format!("{wanted} (fetching)"),
        (wanted, Some(percent)) => format!("{wanted} ({percent} %)"),
        (wanted, None) if model.is_building() => wanted.to_owned(),
        _ => last_part(&model.current().source).to_owned(),
    }
}

/// A source in a few words.
fn last_part(source: &str) -> &str {
    source.trim_end_matches('/').rsplit('/').next().unwrap_or(source)
}

/// What was told last stays while nothing is: before the first look of a new process.
fn progress(model: &Model, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Option<ModelProgress> {
    if let Some(told) = told(model, seen) {
        return Some(ModelProgress {
            indexed: i64::try_from(told.indexed).unwrap_or(i64::MAX),
            images: i64::try_from(told.images).unwrap_or(i64::MAX),
            percent: told.percent.map(i32::from),
            expected_at: told.expected_at.map(Time),
        });
    }
    let before = before.model.as_ref()?;
    let is_same = before.beside.as_ref().is_some_and(|beside| beside.model.choice == model.wanted);
    before.progress.clone().filter(|_| is_same && model.is_building())
}

/// Whether searches use the model of the spec.
pub(super) fn current(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> Condition {
    let model = &stack.model;
    let source = &model.wanted.source;
    let condition = |status, reason, message| Condition::new(MODEL_CURRENT, status, reason, message);
    let is_not = |reason, message| condition(ConditionStatus::False, reason, message);
    if parts::searches_with_model(stack, seen, before) {
        return condition(ConditionStatus::True, "Current", format!("searches use {source}"));
    }
    let applied = parts::is_model_applied(stack, seen);
    if seen.paused && !applied {
        return is_not("Paused", format!("{source} is not loaded: {}", paused()));
    }
    if applied || model.is_current() || model.is_first() && model.is_stored {
        return is_not("RollingOut", format!("not every searchapi has loaded {source}"));
    }
    if let Some(refused) = refused(stack, seen) {
        return is_not("Refused", refused);
    }
    if model.is_stored {
        let (reason, message) = change(stack, seen, before);
        return is_not(reason, message);
    }
    match parts::failing_fetch(stack, seen) {
        Some(failing) => is_not("FetchFailing", failing),
        None => is_not("Fetching", format!("{source} is being fetched into the object store")),
    }
}

/// Why the model of the spec can't be used.
pub(super) fn refused(stack: &Stack, seen: &Seen<'_>) -> Option<String> {
    let job = stack.model.fill_job(&stack.name);
    let given_up = progress::given_up(seen.observed.jobs.get(&job).filter(|_| stack.model.is_refused)?)?;
    let words = reasons::failing_pod_of_job(&seen.observed.pods, &job).unwrap_or(given_up);
    Some(format!("{words}; delete the Job {job} to try again"))
}

/// Which step a change is at, and what it waits for.
fn change(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> (&'static str, String) {
    let model = &stack.model;
    let source = &model.wanted.source;
    match &model.plan.beside {
        Some(beside) if beside.state == BesideState::Leaving || beside.model.choice != model.wanted => {
            let leaving = &beside.model.choice.source;
            ("Removing", format!("{source} comes after what {leaving} had indexed is removed"))
        }
        Some(_) if model.is_building() && !model.steps.is_filled => ("Reindexing", filling(stack, seen, before)),
        Some(_) => {
            let found = seen.deployment(&stack.child(stack.searchapi_beside()));
            let waits_for = found
                .map_or_else(|| Some("is not there yet".into()), |found| progress::deployment_waits_for(found, None));
            ("Loading", format!("the searchapi with {source}: {}", waits_for.unwrap_or_else(|| "serves".into())))
        }
        None => ("Reindexing", format!("{source} is about to index the stored images")),
    }
}

fn filling(stack: &Stack, seen: &Seen<'_>, before: &ImageSearchStackStatus) -> String {
    let model = &stack.model;
    if !model.steps.fill {
        return format!("waits until every ingestapi and every ingestworker knows of {}", model.wanted.source);
    }
    if let Some(failing) = reasons::failing_last_pod_of_job(&seen.observed.pods, &model.fill_job(&stack.name)) {
        return failing;
    }
    match progress(model, seen, before) {
        Some(ModelProgress { percent: Some(percent), images, .. }) => format!("{percent} % of {images} images"),
        _ => "nothing is indexed yet".into(),
    }
}

/// What `Progressing` says of a change, as long as one goes on.
pub(super) fn under_way(stack: &Stack, current: &Condition) -> Option<String> {
    let is_under_way = !stack.model.is_first() && UNDER_WAY.contains(&current.reason.as_str());
    let doing = if current.reason == "Reindexing" { "re-indexing with" } else { "changing to" };
    is_under_way.then(|| format!("{doing} {}: {}", last_part(&stack.model.wanted.source), current.message))
}

/// What won't mend by waiting while searches use the model of before.
pub(super) fn troubles(stack: &Stack, seen: &Seen<'_>) -> Vec<String> {
    let model = &stack.model;
    if model.is_first() {
        return Vec::new();
    }
    let roles = [stack.ingestworker_beside(), stack.searchapi_beside()].into_iter().filter(|_| model.has_two());
    let pods = roles.filter_map(|role| parts::failing_pod(role, seen));
    let removing = model.beside().filter(|_| model.steps.remove).map(|leaving| names::remove_job(&stack.name, leaving));
    let removal = removing.and_then(|job| reasons::failing_pod_of_job(&seen.observed.pods, &job));
    refused(stack, seen).into_iter().chain(parts::failing_fetch(stack, seen)).chain(pods).chain(removal).collect()
}
