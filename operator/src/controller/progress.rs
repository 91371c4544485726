//! How far things are: read from what the API server says of workloads, never from what was asked for.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::{Job, JobCondition},
};

use serde::Serialize;

use super::{
    hash,
    names::{self, Component},
    stack::Repair,
};

/// Which model a Deployment's pods load.
pub(crate) const MODEL_ANNOTATION: &str = "imagesearch.dev/model";

/// Whether a StatefulSet's servers, as they are wanted now, all answer.
pub(crate) fn is_serving(stateful_set: Option<&StatefulSet>) -> bool {
    stateful_set.is_some_and(|set| stateful_set_waits_for(set).is_none())
}

/// What a StatefulSet still waits for, in a few words.
pub(crate) fn stateful_set_waits_for(set: &StatefulSet) -> Option<String> {
    let wanted = set.spec.replicas.unwrap_or(1);
    let Some(status) = &set.status else { return Some("has not been looked at yet".into()) };
    if status.observed_generation != set.metadata.generation {
        return Some("the last change has not been looked at yet".into());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    // An update that is through leaves both revisions the same, and this number unset.
    let same = status.current_revision == status.update_revision;
    if !same && updated < wanted {
        return Some(format!("{updated} of {wanted} servers are up to date"));
    }
    let ready = status.ready_replicas.unwrap_or(0);
    (ready < wanted).then(|| format!("{ready} of {wanted} servers are ready"))
}

/// How many pods a Deployment is to have now.
pub(crate) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// How many of a Deployment's pods serve.
pub(crate) fn available(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// Whether its status is one of what the Deployment is now.
pub(crate) fn is_looked_at(deployment: &Deployment) -> bool {
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
    observed == deployment.metadata.generation
}

/// What a Deployment still waits for, in a few words. Pods of an older revision that still serve don't count. Where somebody
/// scales it by load, `least` pods are enough: more that are on their way are no roll-out.
pub(crate) fn deployment_waits_for(deployment: &Deployment, least: Option<i32>) -> Option<String> {
    let wanted = wanted(deployment);
    let wanted = least.map_or(wanted, |least| least.min(wanted));
    let Some(status) = &deployment.status else { return Some("has not been looked at yet".into()) };
    if !is_looked_at(deployment) {
        return Some("the last change has not been looked at yet".into());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    if updated < wanted {
        return Some(format!("{updated} of {wanted} pods are up to date"));
    }
    let all = status.replicas.unwrap_or(0);
    if all > updated {
        return Some(format!("{} pods of the last revision are still there", all - updated));
    }
    let available = available(deployment);
    (available < wanted).then(|| format!("{available} of {wanted} pods are ready"))
}

/// The name of the Job that fetches this very model: another one when the store that kept it has lost it.
pub(crate) fn model_job(stack: &str, wanted: &impl Serialize, repair: Option<&Repair>) -> String {
    let object_store = format!("-{}-", names::child(stack, Component::ObjectStore.label()));
    let lost = repair.filter(|repair| repair.claims.iter().any(|claim| claim.contains(&object_store)));
    let hash = lost.map_or_else(|| hash::of(wanted), |repair| hash::of(&(wanted, &repair.job)));
    names::child(stack, &format!("model-{}", &hash[..8]))
}

/// Whether a Deployment's pods are made for the model of this mark.
pub(crate) fn loads(deployment: &Deployment, mark: &str) -> bool {
    let annotations = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    annotations.and_then(|annotations| annotations.get(MODEL_ANNOTATION)).is_some_and(|found| found == mark)
}

pub(crate) fn has_succeeded(job: &Job) -> bool {
    job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0) > 0
}

/// Why a Job was given up, in a few words.
pub(crate) fn given_up(job: &Job) -> Option<String> {
    let holds = |condition: &&JobCondition| condition.type_ == "Failed" && condition.status == "True";
    let failed = job.status.as_ref()?.conditions.iter().flatten().find(holds)?;
    Some(failed.message.clone().or_else(|| failed.reason.clone()).unwrap_or_else(|| "it was tried too often".into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use super::*;

    fn deployment(json: serde_json::Value) -> Deployment {
        serde_json::from_value(json).unwrap()
    }

    fn with(status: serde_json::Value) -> Deployment {
        deployment(serde_json::json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": status,
        }))
    }

    #[test]
    fn old_pods_that_serve_do_not_make_a_deployment_ready() {
        let old = serde_json::json!({
            "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2, "readyReplicas": 2,
        });
        assert_eq!(deployment_waits_for(&with(old), None).unwrap(), "1 of 2 pods are up to date");
        let not_seen = serde_json::json!({
            "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
        });
        assert!(deployment_waits_for(&with(not_seen), None).is_some());
        let through = serde_json::json!({
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
        });
        assert_eq!(deployment_waits_for(&with(through), None), None);
    }

    #[test]
    fn none_wanted_and_none_there_is_ready() {
        let mut none = with(serde_json::json!({"observedGeneration": 2}));
        none.spec.replicas = Some(0);
        assert_eq!(deployment_waits_for(&none, None), None);
    }

    #[test]
    fn more_pods_that_are_on_their_way_are_no_roll_out() {
        let more = || {
            with(serde_json::json!({
                "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1,
            }))
        };
        assert_eq!(deployment_waits_for(&more(), None).unwrap(), "1 of 2 pods are ready");
        assert_eq!(deployment_waits_for(&more(), Some(1)), None);
        assert_eq!(deployment_waits_for(&more(), Some(0)), None);
        assert_eq!(
            deployment_waits_for(&more(), Some(5)).unwrap(),
            "1 of 2 pods are ready",
            "no more than there are to be"
        );
        // Another revision is one, however many there have to be.
        let mut rolling = more();
        rolling.status.as_mut().unwrap().updated_replicas = Some(1);
        assert_eq!(deployment_waits_for(&rolling, Some(0)).unwrap(), "1 pods of the last revision are still there");
    }
}
