//! Volumes of the stores. What a StatefulSet says of its claims never changes; a volume that is to grow is grown at its
//! claim, where its class allows that, and whatever else changed is rolled out all the same.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    build,
    fetch::Observed,
    hash, names, progress, quantity,
    stack::{Repair, RepairState},
};

/// What is to be done about a store's volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VolumePlan {
    /// What the StatefulSet's claims say: what they said when it was made.
    pub(crate) template_storage: String,
    /// Claims that are to ask for more.
    pub(crate) grow: Vec<String>,
    /// Why some can't.
    pub(crate) stuck: Option<String>,
}

pub(crate) fn plan(stateful_set: &str, wanted: &str, observed: &Observed) -> VolumePlan {
    let existing = observed.stateful_sets.get(stateful_set).and_then(template_storage);
    let mut plan =
        VolumePlan { template_storage: existing.unwrap_or_else(|| wanted.to_owned()), ..VolumePlan::default() };
    let prefix = format!("{}-{stateful_set}-", build::VOLUME);
    for (name, claim) in &observed.claims {
        let ordinal = name.strip_prefix(&prefix).is_some_and(|ordinal| ordinal.parse::<u32>().is_ok());
        if !ordinal || !is_less(storage_of(claim), wanted) {
            continue;
        }
        match may_grow(claim, observed) {
            Ok(()) => plan.grow.push(name.clone()),
            Err(reason) => plan.stuck = Some(format!("the volume {name} can't grow to {wanted}: {reason}")),
        }
    }
    plan
}

/// The claims of a stack and the id of each.
pub(crate) fn identities(observed: &Observed) -> BTreeMap<String, String> {
    let claims = observed.claims.iter();
    claims.filter_map(|(name, claim)| Some((name.clone(), claim.metadata.uid.clone()?))).collect()
}

/// What is to be repaired when claims have other ids than the status tells: somebody deleted a volume, or a node took it along.
pub(crate) fn repair(stack: &str, known: &BTreeMap<String, String>, observed: &Observed) -> Option<Repair> {
    let is_another = |(name, id): &(String, String)| known.get(name).is_some_and(|known| known != id);
    let replaced: BTreeMap<String, String> = identities(observed).into_iter().filter(is_another).collect();
    if replaced.is_empty() {
        return None;
    }
    let job = names::child(stack, &format!("repair-{}", &hash::of(&replaced)[..8]));
    let found = observed.jobs.get(&job);
    let state = if found.is_some_and(progress::has_succeeded) {
        RepairState::Ended
    } else if found.and_then(progress::given_up).is_some() {
        RepairState::Failed
    } else if observed.stateful_sets.values().all(|set| progress::is_serving(Some(set))) {
        RepairState::Running
    } else {
        RepairState::Waiting
    };
    Some(Repair { claims: replaced.into_keys().collect(), job, state })
}

fn may_grow(claim: &PersistentVolumeClaim, observed: &Observed) -> Result<(), String> {
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if !bound {
        return Err("it is not bound yet".into());
    }
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
    match observed.storage_classes.get(&class) {
        Some(found) if found.allow_volume_expansion == Some(true) => Ok(()),
        Some(_) => Err(format!("its storage class {class:?} doesn't allow it")),
        None => Err(format!("its storage class {class:?} is not known")),
    }
}

fn storage_of(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")
}

fn template_storage(set: &StatefulSet) -> Option<String> {
    let templates = set.spec.volume_claim_templates.as_ref()?;
    let template = templates.iter().find(|claim| claim.metadata.name.as_deref() == Some(build::VOLUME))?;
    storage_of(template).map(|quantity| quantity.0.clone())
}

fn is_less(found: Option<&Quantity>, wanted: &str) -> bool {
    let found = found.and_then(|quantity| quantity::bytes(&quantity.0));
    matches!((found, quantity::bytes(wanted)), (Some(found), Some(wanted)) if found < wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use super::*;
    use serde_json::json;

    fn observed(allowed: bool) -> Observed {
        let claim = json!({
            "metadata": {"name": "data-photos-queue-0"},
            "spec": {"storageClassName": "disk", "resources": {"requests": {"storage": "10Gi"}}},
            "status": {"phase": "Bound"},
        });
        let set = json!({
            "metadata": {"name": "photos-queue"},
            "spec": {"selector": {}, "template": {}, "serviceName": "peers", "volumeClaimTemplates": [
                {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "10Gi"}}}},
            ]},
        });
        let class = json!({"provisioner": "some", "allowVolumeExpansion": allowed});
        Observed {
            claims: [("data-photos-queue-0".to_owned(), serde_json::from_value(claim).unwrap())].into(),
            stateful_sets: [("photos-queue".to_owned(), serde_json::from_value(set).unwrap())].into(),
            storage_classes: [("disk".to_owned(), serde_json::from_value(class).unwrap())].into(),
            ..Observed::default()
        }
    }

    #[test]
    fn a_volume_grows_at_its_claim_and_the_template_stays() {
        let plan = plan("photos-queue", "20Gi", &observed(true));
        assert_eq!((plan.template_storage.as_str(), plan.stuck), ("10Gi", None));
        assert_eq!(plan.grow, ["data-photos-queue-0"]);
    }

    #[test]
    fn a_class_that_allows_no_growth_is_told() {
        let plan = plan("photos-queue", "20Gi", &observed(false));
        assert!(plan.grow.is_empty());
        let reason = plan.stuck.unwrap();
        assert!(reason.contains("data-photos-queue-0") && reason.contains("\"disk\""), "{reason}");
    }

    #[test]
    fn another_volume_is_repaired_once_the_stores_serve() {
        let claim = |uid: &str| serde_json::from_value(json!({ "metadata": { "uid": uid } })).unwrap();
        let set = |ready: i32| {
            let status = json!({ "replicas": 1, "readyReplicas": ready, "updatedReplicas": 1 });
            serde_json::from_value(json!({
                "spec": { "selector": {}, "template": {}, "serviceName": "peers" }, "status": status,
            }))
            .unwrap()
        };
        let job = |status: serde_json::Value| serde_json::from_value(json!({ "status": status })).unwrap();
        let mut observed = observed(true);
        observed.claims = [("data-photos-index-0".to_owned(), claim("new"))].into();
        observed.stateful_sets = [("photos-index".to_owned(), set(0))].into();
        let known = |uid: &str| [("data-photos-index-0".to_owned(), uid.to_owned())].into();

        assert_eq!(repair("photos", &known("new"), &observed), None);
        // A claim that was never seen belongs to a store that is new.
        assert_eq!(repair("photos", &BTreeMap::new(), &observed), None);
        let found = repair("photos", &known("old"), &observed).unwrap();
        assert_eq!((found.claims.as_slice(), found.state), (&["data-photos-index-0".into()][..], RepairState::Waiting));
        observed.stateful_sets = [("photos-index".to_owned(), set(1))].into();
        assert_eq!(repair("photos", &known("old"), &observed).unwrap().state, RepairState::Running);
        let failed = json!({ "conditions": [{ "type": "Failed", "status": "True" }] });
        observed.jobs = [(found.job.clone(), job(failed))].into();
        assert_eq!(repair("photos", &known("old"), &observed).unwrap().state, RepairState::Failed);
        observed.jobs = [(found.job, job(json!({ "succeeded": 1 })))].into();
        assert_eq!(repair("photos", &known("old"), &observed).unwrap().state, RepairState::Ended);
    }

    #[test]
    fn what_is_large_enough_is_left() {
        for wanted in ["10Gi", "5Gi", "10240Mi"] {
            assert_eq!((plan("photos-queue", wanted, &observed(true)).grow.len()), 0, "{wanted}");
        }
        // The claim of another stack whose name begins the same.
        assert!(plan("photos", "20Gi", &observed(true)).grow.is_empty());
    }
}
