//! A change of the model as the cluster shows it: what its decisions rest on (`facts`), and which of its steps may be taken by
//! now (`steps`). Uploads have to go to both collections before the one is filled from what is stored, and to one alone before
//! the other is removed: so no pod of another configuration may be left then, not even one that is on its way out.

#[cfg(test)]
mod tests;

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;
use serde::Serialize;

use super::{
    build::{CONFIG_ANNOTATION, settings},
    fetch::Observed,
    hash,
    model::{Facts, JobEnd, Plan},
    names::{self, COMPONENT_LABEL, Component},
    progress::{self, MODEL_ANNOTATION},
    stack::Stack,
};
use crate::crd::{self, BesideState, ModelChoice, Slot};

/// What pods that load a model are marked with, so that another model rolls them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) current: String,
    pub(crate) beside: String,
}

/// Which steps may be taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// The collection of the model beside is filled, or has been.
    pub(crate) fill: bool,
    /// It has been: its searchapi may start.
    pub(crate) is_filled: bool,
    /// What the leaving model had is removed.
    pub(crate) remove: bool,
    /// Jobs that nobody wants any more and that stay: the last status rests on them, or they tell why a model is refused.
    pub(crate) kept_jobs: Vec<String>,
}

/// What is looked at for a stack's models.
pub(crate) struct View<'a> {
    pub(crate) stack: &'a str,
    pub(crate) wanted: &'a ModelChoice,
    /// What pods that load the wanted model are marked with.
    pub(crate) wanted_mark: String,
    /// The Job that fetches the wanted model.
    pub(crate) fetch_job: Option<&'a str>,
    pub(crate) observed: &'a Observed,
}

/// A model with what it is fetched with, as it is hashed: another token for the hub may open another model.
pub(crate) fn with_token(wanted: &ModelChoice, token: Option<&crd::SecretKeyRef>) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Fetched {
        #[serde(flatten)]
        choice: ModelChoice,
        #[serde(skip_serializing_if = "Option::is_none")]
        token_secret_ref: Option<crd::SecretKeyRef>,
    }
    Fetched { choice: wanted.clone(), token_secret_ref: token.cloned() }
}

impl View<'_> {
    /// `before` is what the last status tells.
    pub(crate) fn facts(&self, before: &Plan) -> Facts {
        let slots = match &before.current {
            Some(current) => vec![current.slot],
            None => vec![Slot::A, Slot::B],
        };
        let beside = before.beside.as_ref().map(|beside| &beside.model.choice);
        let removed = beside.and_then(|beside| self.job_end(&names::remove_job(self.stack, beside)));
        Facts {
            found: slots.iter().copied().find(|slot| self.searchapi(*slot).is_some()),
            loading_wanted: slots.into_iter().find(|slot| self.loads(*slot, &self.wanted_mark)),
            is_stored: self.is_stored(before),
            fill: self.job_end(&names::fill_job(self.stack, self.wanted)),
            beside_serves: beside.is_some_and(|beside| self.serves(before.current_slot().other(), beside)),
            is_removed: removed == Some(JobEnd::Succeeded),
        }
    }

    pub(crate) fn marks(&self, plan: &Plan) -> Marks {
        let slot = plan.current_slot();
        let current = plan.current.as_ref().map_or(self.wanted, |current| &current.model.choice);
        let beside = plan.beside.as_ref().map(|beside| self.mark(slot.other(), &beside.model.choice));
        Marks { current: self.mark(slot, current), beside: beside.unwrap_or_default() }
    }

    /// Its Job has ended well, or pods were made for it before, which the Job came before.
    fn is_stored(&self, before: &Plan) -> bool {
        let Some(job) = self.fetch_job else { return true };
        let beside = before.beside.as_ref().filter(|beside| beside.state != BesideState::Leaving);
        self.observed.jobs.get(job).is_some_and(progress::has_succeeded)
            || beside.is_some_and(|beside| beside.model.choice == *self.wanted)
            || [Slot::A, Slot::B].into_iter().any(|slot| self.loads(slot, &self.wanted_mark))
    }

    /// Pods with a model that is no longer wanted keep their mark, whatever it was fetched with.
    fn mark(&self, slot: Slot, model: &ModelChoice) -> String {
        if model == self.wanted {
            return self.wanted_mark.clone();
        }
        self.searchapi(slot).and_then(|found| annotation(found, MODEL_ANNOTATION)).unwrap_or_else(|| hash::of(model))
    }

    fn searchapi(&self, slot: Slot) -> Option<&Deployment> {
        self.observed.deployments.get(&names::child(self.stack, Component::searchapi(slot).label()))
    }

    fn loads(&self, slot: Slot, mark: &str) -> bool {
        self.searchapi(slot).is_some_and(|deployment| progress::loads(deployment, mark))
    }

    fn serves(&self, slot: Slot, model: &ModelChoice) -> bool {
        let found = self.searchapi(slot).filter(|found| progress::loads(found, &self.mark(slot, model)));
        found.is_some_and(|found| progress::deployment_waits_for(found, None).is_none())
    }

    fn job_end(&self, name: &str) -> Option<JobEnd> {
        let job = living(self.observed, name)?;
        if progress::has_succeeded(job) {
            return Some(JobEnd::Succeeded);
        }
        progress::given_up(job).map(|_| JobEnd::Failed)
    }
}

/// What may be done by now for `stack`, which is built as its plan says. `before` is what the last status tells.
pub(crate) fn steps(stack: &Stack, facts: &Facts, before: &Plan, observed: &Observed) -> Steps {
    let mut steps = Steps { kept_jobs: kept_jobs(stack, before), ..Steps::default() };
    let Some(beside) = &stack.model.plan.beside else { return steps };
    let model = &beside.model.choice;
    let takes_part = || {
        has_rolled(stack, Component::IngestApi, observed) && has_rolled(stack, stack.ingestworker_in_use(), observed)
    };
    match beside.state {
        BesideState::Building => {
            // Once it has begun, no roll-out takes anything from it.
            steps.fill = living(observed, &names::fill_job(&stack.name, model)).is_some() || takes_part();
            steps.is_filled = facts.fill == Some(JobEnd::Succeeded);
        }
        BesideState::Kept => {}
        BesideState::Leaving => {
            let has_begun = living(observed, &names::remove_job(&stack.name, model)).is_some();
            steps.remove = has_begun || (has_left(stack, observed) && takes_part());
        }
    }
    steps
}

/// What follows from a Job is done again when the status that tells of it was not written.
fn kept_jobs(stack: &Stack, before: &Plan) -> Vec<String> {
    let of_beside = before.beside.as_ref().and_then(|beside| match beside.state {
        BesideState::Building => Some(names::fill_job(&stack.name, &beside.model.choice)),
        BesideState::Leaving => Some(names::remove_job(&stack.name, &beside.model.choice)),
        BesideState::Kept => None,
    });
    let of_refused = stack.model.is_refused.then(|| stack.model.fill_job(&stack.name));
    of_beside.into_iter().chain(of_refused).collect()
}

/// Whether all of a role's pods have the configuration that is built now.
fn has_rolled(stack: &Stack, role: Component, observed: &Observed) -> bool {
    let config = settings::hash(stack, role);
    let Some(deployment) = observed.deployments.get(&stack.child(role)) else { return false };
    let is_told = annotation(deployment, CONFIG_ANNOTATION).as_ref() == Some(&config);
    let mut pods = living_pods(role, observed);
    is_told
        && progress::deployment_waits_for(deployment, Some(0)).is_none()
        && pods.all(|pod| pod.annotations().get(CONFIG_ANNOTATION) == Some(&config))
}

/// Whether nobody of the other slot is left, nor who fills a collection.
fn has_left(stack: &Stack, observed: &Observed) -> bool {
    let roles = [stack.searchapi_beside(), stack.ingestworker_beside()];
    roles.iter().all(|role| !observed.deployments.contains_key(&stack.child(*role)))
        && roles.into_iter().chain([Component::ModelChange]).all(|role| living_pods(role, observed).next().is_none())
}

/// Pods that may still do something, those included that were asked to end.
fn living_pods(component: Component, observed: &Observed) -> impl Iterator<Item = &Pod> {
    let is_over = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let of_component =
        move |pod: &&Pod| pod.labels().get(COMPONENT_LABEL).is_some_and(|found| found == component.label());
    observed.pods.iter().filter(of_component).filter(move |pod| !is_over(pod))
}

/// A Job that nobody has deleted.
fn living<'a>(observed: &'a Observed, job: &str) -> Option<&'a Job> {
    observed.jobs.get(job).filter(|job| job.metadata.deletion_timestamp.is_none())
}

fn annotation(deployment: &Deployment, name: &str) -> Option<String> {
    deployment.spec.template.metadata.as_ref()?.annotations.as_ref()?.get(name).cloned()
}
