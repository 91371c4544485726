//! Which model searches use, and what becomes of a second one beside it: from what the last status tells and what the cluster
//! shows to what is built now and told next. It is pure, and only the status remembers: broken off in between, the same follows
//! again.

#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::crd::{BesideState, CurrentModel, KnownModel, ModelBeside, ModelChoice, ModelStatus, Slot};

/// The models whose collections there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Searches use it; absent before the first model has been fetched.
    pub(crate) current: Option<CurrentModel>,
    /// Its searchapi and workers are in the other slot.
    pub(crate) beside: Option<ModelBeside>,
}

/// What the cluster shows of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// A slot that has a searchapi.
    pub(crate) found: Option<Slot>,
    /// The slot in use has a searchapi that is made for the wanted model; any slot where it isn't known which is in use.
    pub(crate) loading_wanted: Option<Slot>,
    /// The wanted model is in the object store.
    pub(crate) is_stored: bool,
    /// How the Job has ended that fills the wanted model's collection.
    pub(crate) fill: Option<JobEnd>,
    /// As many searchapi pods serve with the model beside as there are to be.
    pub(crate) beside_serves: bool,
    /// The Job that removes what the model beside had has done so.
    pub(crate) is_removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    Succeeded,
    Failed,
}

/// What is wished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) model: &'a ModelChoice,
    /// How long the model of before is kept.
    pub(crate) keep: Duration,
}

impl Plan {
    /// As the last status tells.
    pub(crate) fn of(status: Option<&ModelStatus>) -> Self {
        let Some(ModelStatus { current, beside, .. }) = status else { return Self::default() };
        // Nothing can be beside nothing.
        Self { current: current.clone(), beside: beside.clone().filter(|_| current.is_some()) }
    }

    pub(crate) fn current_slot(&self) -> Slot {
        self.current.as_ref().map_or_else(Slot::default, |current| current.slot)
    }

    pub(crate) fn searches_use(&self, model: &ModelChoice) -> bool {
        self.current.as_ref().is_some_and(|current| current.model.choice == *model)
    }

    pub(crate) fn is_beside(&self, state: BesideState) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.state == state)
    }

    /// What the pods tell better: a status of an older operator leaves checksums out, and one may be lost.
    pub(crate) fn recognized(mut self, wanted: &ModelChoice, facts: &Facts) -> Self {
        let Some(slot) = facts.loading_wanted.filter(|_| !self.searches_use(wanted)) else { return self };
        if self.current.as_ref().is_none_or(|current| current.slot == slot) {
            self.current = Some(CurrentModel { model: known(wanted), slot });
        }
        self
    }

    /// One step at most.
    pub(crate) fn next(self, wish: Wish<'_>, facts: &Facts, now: Timestamp) -> Self {
        let is_current = self.searches_use(wish.model);
        let Some(current) = self.current else {
            let slot = facts.found.unwrap_or_default();
            let first = facts.is_stored.then(|| CurrentModel { model: known(wish.model), slot });
            return Self { current: first, beside: None };
        };
        let Some(beside) = self.beside else {
            let begins = !is_current && facts.is_stored && facts.fill != Some(JobEnd::Failed);
            let beside = begins.then(|| with_state(known(wish.model), BesideState::Building));
            return Self { current: Some(current), beside };
        };
        let is_wanted = !is_current && beside.model.choice == *wish.model;
        let is_over = || beside.until.as_ref().is_none_or(|until| now >= until.0);
        match beside.state {
            BesideState::Building if !is_wanted || facts.fill == Some(JobEnd::Failed) => leave(current, beside),
            BesideState::Building if facts.fill == Some(JobEnd::Succeeded) && facts.beside_serves => {
                swap(current, beside, wish.keep, now)
            }
            BesideState::Kept if is_wanted && facts.beside_serves => swap(current, beside, wish.keep, now),
            // A third one is wanted, or its time is over.
            BesideState::Kept if !is_wanted && (!is_current || is_over()) => leave(current, beside),
            BesideState::Leaving if facts.is_removed => Self { current: Some(current), beside: None },
            _ => Self { current: Some(current), beside: Some(beside) },
        }
    }
}

fn known(choice: &ModelChoice) -> KnownModel {
    KnownModel { choice: choice.clone(), fingerprint: None }
}

fn with_state(model: KnownModel, state: BesideState) -> ModelBeside {
    ModelBeside { model, state, until: None }
}

fn leave(current: CurrentModel, beside: ModelBeside) -> Plan {
    Plan { current: Some(current), beside: Some(with_state(beside.model, BesideState::Leaving)) }
}

/// Searches use the model beside from now on; the one of before is kept, for as long as that is wished.
fn swap(current: CurrentModel, beside: ModelBeside, keep: Duration, now: Timestamp) -> Plan {
    let before = if keep.is_zero() {
        with_state(current.model, BesideState::Leaving)
    } else {
        let until = now.checked_add(keep).unwrap_or(Timestamp::MAX);
        // Times are written in whole seconds.
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        ModelBeside { until: Some(Time(until)), ..with_state(current.model, BesideState::Kept) }
    };
    Plan { current: Some(CurrentModel { model: beside.model, slot: current.slot.other() }), beside: Some(before) }
}
