//! What the children of a stack are called, and how they are told from those of others.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sha2::{Digest, Sha256};

use super::hash;
use crate::crd::{ModelChoice, Slot};

/// A StatefulSet puts `-<ordinal>` and a revision of ten letters behind its name, a CronJob eleven digits: with more than
/// this, the label that holds it would pass 63 letters.
const LONGEST: usize = 52;
const HASH_LETTERS: usize = 8;

/// A part of a stack: a label of everything that belongs to it, and a condition of its own. Of the roles that load a model and
/// serve it there are two, one a slot: what belongs to them has a label each, so that their selectors never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Component {
    /// What all parts share.
    Stack,
    ObjectStore,
    Queue,
    Index,
    Model,
    IngestApi,
    IngestWorker,
    IngestWorkerB,
    SearchApi,
    SearchApiB,
    CdnApi,
    Frontend,
    Check,
    /// Fills the collection of another model, and removes it.
    ModelChange,
}

impl Component {
    /// Those whose pods load a model: they wait for the first one.
    pub(crate) const LOADING_MODEL: [Self; 5] =
        [Self::IngestApi, Self::IngestWorker, Self::IngestWorkerB, Self::SearchApi, Self::SearchApiB];

    pub(crate) fn loads_model(self) -> bool {
        Self::LOADING_MODEL.contains(&self)
    }

    pub(crate) const fn ingestworker(slot: Slot) -> Self {
        match slot {
            Slot::A => Self::IngestWorker,
            Slot::B => Self::IngestWorkerB,
        }
    }

    pub(crate) const fn searchapi(slot: Slot) -> Self {
        match slot {
            Slot::A => Self::SearchApi,
            Slot::B => Self::SearchApiB,
        }
    }

    /// Of those that there may be one of in each slot, which one it is in.
    pub(crate) const fn slot(self) -> Option<Slot> {
        match self {
            Self::IngestWorker | Self::SearchApi => Some(Slot::A),
            Self::IngestWorkerB | Self::SearchApiB => Some(Slot::B),
            _ => None,
        }
    }

    /// What its container is called, and the subcommand that a role's runs: the same in either slot.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::IngestWorkerB => Self::IngestWorker.label(),
            Self::SearchApiB => Self::SearchApi.label(),
            other => other.label(),
        }
    }

    /// As a label, and at the end of names.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::ObjectStore => "objectstore",
            Self::Queue => "queue",
            Self::Index => "index",
            Self::Model => "model",
            Self::IngestApi => "ingestapi",
            Self::IngestWorker => "ingestworker",
            Self::IngestWorkerB => "ingestworker-b",
            Self::SearchApi => "searchapi",
            Self::SearchApiB => "searchapi-b",
            Self::CdnApi => "cdnapi",
            Self::Frontend => "frontend",
            Self::Check => "check",
            Self::ModelChange => "modelchange",
        }
    }

    /// The condition that says whether it is ready.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Stack => "StackReady",
            Self::ObjectStore => "ObjectStoreReady",
            Self::Queue => "QueueReady",
            Self::Index => "IndexReady",
            Self::Model => "ModelReady",
            Self::IngestApi => "IngestApiReady",
            Self::IngestWorker | Self::IngestWorkerB => "IngestWorkerReady",
            Self::SearchApi | Self::SearchApiB => "SearchApiReady",
            Self::CdnApi => "CdnApiReady",
            Self::Frontend => "FrontendReady",
            Self::Check => "CheckReady",
            Self::ModelChange => "ModelChangeReady",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

pub(crate) const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
pub(crate) const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
pub(crate) const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
pub(crate) const MANAGER: &str = "imagesearch-operator";

/// Secrets that are made once, and kept with what they open.
pub(crate) const OBJECT_STORE_CREDENTIALS: &str = "objectstore-credentials";
pub(crate) const QUEUE_CREDENTIALS: &str = "queue-credentials";

/// The Secret of an API key.
pub(crate) fn key(name: &str) -> String {
    format!("key-{name}")
}

/// The Job that fills a model's collection.
pub(crate) fn fill_job(stack: &str, model: &ModelChoice) -> String {
    child(stack, &format!("fill-{}", &hash::of(model)[..HASH_LETTERS]))
}

/// The Job that removes a model's collection.
pub(crate) fn remove_job(stack: &str, model: &ModelChoice) -> String {
    child(stack, &format!("remove-{}", &hash::of(model)[..HASH_LETTERS]))
}

/// The name of a child: `<stack>-<suffix>`, cut and with a hash when it would be too long.
pub(crate) fn child(stack: &str, suffix: &str) -> String {
    let name = format!("{stack}-{suffix}");
    if name.len() <= LONGEST {
        return name;
    }
    let hash = hex::encode(Sha256::digest(stack.as_bytes()));
    let kept = LONGEST - suffix.len() - HASH_LETTERS - 2;
    format!("{}-{}-{suffix}", stack[..kept].trim_end_matches('-'), &hash[..HASH_LETTERS])
}

/// Labels that never change once a child is there: selectors are made of them.
pub(crate) fn selector_labels(stack: &str, component: Component) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "imagesearch"), (INSTANCE_LABEL, stack), (COMPONENT_LABEL, component.label())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// All labels of a child.
pub(crate) fn labels(stack: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector_labels(stack, component);
    for (key, value) in [
        ("app.kubernetes.io/part-of", "imagesearch"),
        (MANAGED_BY_LABEL, MANAGER),
        ("app.kubernetes.io/version", env!("CARGO_PKG_VERSION")),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// Selects the pods of one component.
pub(crate) fn selector(stack: &str, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(stack, component)), ..LabelSelector::default() }
}

/// Selects everything that the operator made for a stack, in lists.
pub(crate) fn list_selector(stack: &str) -> String {
    format!("{INSTANCE_LABEL}={stack},{MANAGED_BY_LABEL}={MANAGER}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_plain() {
        assert_eq!(child("photos", "searchapi"), "photos-searchapi");
        assert_eq!(child("imagesearch", "ingestworker"), "imagesearch-ingestworker");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, other) = (format!("{}a", "s".repeat(62)), format!("{}b", "s".repeat(62)));
        for suffix in ["ingestworker", "objectstore-credentials"] {
            let (first, second) = (child(&one, suffix), child(&other, suffix));
            assert_ne!(first, second);
            assert!(first.len() <= LONGEST && first.ends_with(suffix), "{first}");
        }
        // A dash before the cut would be doubled.
        assert!(!child(&"ab-".repeat(20), "ingestworker").contains("--"));
    }
}
