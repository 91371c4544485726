//! What a test looks at of a stack, and what it does for those who aren't there: kubelets and controllers.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use operator::crd::Condition;
use serde_json::{Value, json};

use super::{
    process::{Operator, until},
    rights::LEASE,
    world::{DEADLINE, World},
};

/// Kubernetes's own kinds that a stack is made of.
pub(crate) const KINDS: [(&str, &str); 12] = [
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
];
/// Those that a cluster may know.
pub(crate) const OTHER_KINDS: [(&str, &str); 2] =
    [("gateway.networking.k8s.io", "HTTPRoute"), ("monitoring.coreos.com", "PodMonitor")];

/// A kind and a name.
pub(crate) type Name = (&'static str, String);

impl World {
    /// A stack with everything that belongs to it, as far as that goes without pods.
    pub(crate) async fn with_stack(spec: Value) -> (Self, Operator) {
        let world = Self::start().await;
        let operator = Operator::start(&world);
        world.apply("photos", Some(spec)).await.unwrap();
        world.until_settled().await;
        (world, operator)
    }

    pub(crate) async fn until_settled(&self) {
        let stacks = self.stacks();
        until(DEADLINE, "the status tells of the newest spec", async || {
            let stack = stacks.get("photos").await.unwrap();
            (stack.status?.observed_generation == stack.metadata.generation).then_some(())
        })
        .await;
    }

    pub(crate) async fn condition(&self, kind: &str) -> Option<Condition> {
        let status = self.stacks().get("photos").await.unwrap().status?;
        status.conditions.into_iter().find(|condition| condition.r#type == kind)
    }

    pub(crate) async fn secret(&self, name: &str, entry: &str) -> Option<String> {
        let secret = self.all::<Secret>().get_opt(name).await.unwrap()?;
        Some(String::from_utf8(secret.data?.get(entry)?.0.clone()).unwrap())
    }

    pub(crate) fn dynamic(&self, (group, kind): (&str, &str)) -> Api<DynamicObject> {
        let version = if group == "autoscaling" { "v2" } else { "v1" };
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    /// What the operator made of one kind.
    pub(crate) async fn made(&self, kind: (&str, &str)) -> Vec<DynamicObject> {
        let made = ListParams::default().labels("app.kubernetes.io/managed-by=imagesearch-operator");
        self.dynamic(kind).list(&made).await.unwrap().items
    }

    /// What the operator made of one kind for a stack.
    pub(crate) async fn children_of(&self, stack: &str, kind: (&str, &'static str)) -> BTreeMap<Name, DynamicObject> {
        let made = self.made(kind).await.into_iter().filter(|object| stack_of(object) == stack);
        made.map(|object| ((kind.1, object.name_any()), object)).collect()
    }

    /// Everything that the operator made for a stack.
    pub(crate) async fn children(&self, stack: &str) -> BTreeMap<Name, DynamicObject> {
        let mut all = BTreeMap::new();
        for kind in KINDS.into_iter().chain(OTHER_KINDS) {
            all.extend(self.children_of(stack, kind).await);
        }
        all
    }

    /// Takes the Lease from whoever was killed, so that the next one needn't wait for it to run out.
    pub(crate) async fn free_lease(&self) {
        let _ = self.all::<Lease>().delete(LEASE, &DeleteParams::default()).await;
    }

    /// Says of each StatefulSet that its servers are ready.
    pub(crate) async fn let_stores_serve(&self) {
        let sets = self.all::<StatefulSet>();
        for set in sets.list(&ListParams::default()).await.unwrap() {
            let replicas = set.spec.replicas;
            let is_said = set.status.as_ref().is_some_and(|status| {
                (status.ready_replicas, status.observed_generation) == (replicas, set.metadata.generation)
            });
            if is_said {
                continue;
            }
            let status = json!({ "status": {
                "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                "observedGeneration": set.metadata.generation,
            } });
            sets.patch_status(&set.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        }
    }

    /// Says of a Job that it has done its work.
    pub(crate) async fn let_end(&self, job: &str) {
        let now = "2026-01-01T00:00:00Z";
        let done = json!({ "status": {
            "succeeded": 1, "startTime": now, "completionTime": now, "uncountedTerminatedPods": {},
            "conditions": [
                { "type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": now },
                { "type": "Complete", "status": "True", "lastTransitionTime": now },
            ],
        } });
        self.all::<Job>().patch_status(job, &PatchParams::default(), &Patch::Merge(&done)).await.unwrap();
    }
}

/// The stack that a child belongs to.
pub(crate) fn stack_of(child: &DynamicObject) -> &str {
    &child.labels()["app.kubernetes.io/instance"]
}

/// A claim as a StatefulSet of the stack makes it.
pub(crate) fn claim(component: &str, storage: &str, class: Option<&str>) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": { "name": format!("data-photos-{component}-0"), "labels": {
            "app.kubernetes.io/name": "imagesearch", "app.kubernetes.io/instance": "photos",
            "app.kubernetes.io/component": component, "app.kubernetes.io/managed-by": "imagesearch-operator",
        } },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": storage } },
        },
    }))
    .unwrap()
}
