//! The skeleton of a store that the operator runs: a StatefulSet on a volume, a Service to reach it, another that gives each
//! server a name, and a disruption budget.

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec},
        core::v1::{
            PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, Secret, Service, ServiceSpec,
            VolumeResourceRequirements,
        },
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{http, meta};
use crate::controller::{
    names::{self, Component},
    stack::{Server, Stack},
};

/// Name of the volume that keeps what a store keeps.
pub(crate) const VOLUME: &str = "data";

/// Children of a store that the operator runs.
#[derive(Debug, Clone)]
pub(crate) struct ServerObjects {
    /// What the server reads when it starts.
    pub(crate) config: Option<Secret>,
    pub(crate) stateful_set: StatefulSet,
    pub(crate) service: Service,
    pub(crate) peers: Service,
    pub(crate) disruption_budget: PodDisruptionBudget,
}

/// Everything around a server's pod.
pub(crate) fn objects(
    stack: &Stack,
    component: Component,
    server: &Server,
    ports: &[(&str, u16)],
    config: Option<Secret>,
    template: PodTemplateSpec,
) -> ServerObjects {
    ServerObjects {
        config,
        stateful_set: stateful_set(stack, component, server, template),
        service: http::service(stack, component, ports),
        peers: peers(stack, component, ports),
        disruption_budget: http::disruption_budget(stack, component),
    }
}

/// The name of the Service that gives each server a name.
pub(crate) fn peers_name(stack: &Stack, component: Component) -> String {
    stack.child_named(&format!("{component}-peers"))
}

fn stateful_set(stack: &Stack, component: Component, server: &Server, template: PodTemplateSpec) -> StatefulSet {
    let when_deleted = if stack.retain { "Retain" } else { "Delete" };
    StatefulSet {
        metadata: meta::owned(stack, component),
        spec: StatefulSetSpec {
            replicas: Some(server.replicas),
            revision_history_limit: Some(3),
            selector: names::selector(&stack.name, component),
            service_name: Some(peers_name(stack, component)),
            // Servers that need each other to become ready start together.
            pod_management_policy: Some("Parallel".into()),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.into()),
                when_scaled: Some("Retain".into()),
            }),
            volume_claim_templates: Some(vec![claim(stack, component, server)]),
            template,
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    }
}

fn claim(stack: &Stack, component: Component, server: &Server) -> PersistentVolumeClaim {
    let storage = [("storage".to_owned(), Quantity(server.volumes.template_storage.clone()))].into();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(VOLUME.into()),
            // Without the version: a claim's template never changes.
            labels: Some({
                let mut labels = names::selector_labels(&stack.name, component);
                labels.insert(names::MANAGED_BY_LABEL.into(), names::MANAGER.into());
                labels
            }),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(storage),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: server.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

fn peers(stack: &Stack, component: Component, ports: &[(&str, u16)]) -> Service {
    Service {
        metadata: meta::owned_as(stack, component, peers_name(stack, component)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            cluster_ip: Some("None".into()),
            // They have to find each other before they are ready.
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector_labels(&stack.name, component)),
            ports: Some(ports.iter().map(|(name, port)| http::service_port(name, *port)).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
