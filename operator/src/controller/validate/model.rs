//! The model of the spec, and what becomes of those that are there.

use kube::ResourceExt;

use super::Reader;
use crate::{
    controller::{
        change, hash,
        model::{Facts, JobEnd, Plan, Wish},
        progress,
        stack::{Model, is_fetched},
    },
    crd,
};

impl Reader<'_> {
    /// `before` is what the last status tells of them. Which steps may be taken follows from the whole stack.
    pub(super) fn model(&mut self, before: &Plan) -> (Model, Facts) {
        let crd::Model { source, sha256, token_secret_ref, fetch, reindex_workers, keep_previous } =
            self.resource.spec.model.clone();
        let keep = self.duration("spec.model.keepPrevious", &keep_previous, "1h");
        let wanted = crd::ModelChoice { source, sha256 };
        let token = token_secret_ref.clone().and_then(|secret| {
            let reference = crd::SecretRef { name: secret.name.clone() };
            let source = self.secret("spec.model.tokenSecretRef", Some(&reference), &[&[secret.key.as_str()]])?;
            Some((secret, source.entries))
        });
        let stack = self.resource.name_any();
        let with_token = change::with_token(&wanted, token_secret_ref.as_ref());
        let job = progress::model_job(&stack, &with_token, self.repair().as_ref());
        let view = change::View {
            stack: &stack,
            wanted: &wanted,
            wanted_mark: hash::of(&with_token),
            fetch_job: is_fetched(&wanted).then_some(job.as_str()),
            observed: self.observed,
        };
        let facts = view.facts(before);
        let mut plan = before.clone().recognized(&wanted, &facts);
        if self.may_change(&plan) {
            plan = plan.next(Wish { model: &wanted, keep }, &facts, self.observed.now);
        }
        let model = Model {
            token,
            // Another node for the pod that fetches it makes no other model.
            pod: fetch.unwrap_or_default(),
            is_stored: facts.is_stored,
            is_refused: !plan.searches_use(&wanted) && facts.fill == Some(JobEnd::Failed),
            reindex_workers,
            marks: view.marks(&plan),
            plan,
            steps: change::Steps::default(),
            job: job.clone(),
            wanted: wanted.clone(),
        };
        (model, facts)
    }

    /// A spec that is seen for the first time is applied first as far as it says other things: whatever rolls afterwards rolls for
    /// the model, and has served this very spec before.
    fn may_change(&self, plan: &Plan) -> bool {
        let seen = self.resource.status.as_ref().and_then(|status| status.observed_generation);
        let is_seen = seen == self.resource.metadata.generation;
        !self.resource.is_paused() && (is_seen || plan.current.is_none())
    }
}
