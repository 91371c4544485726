//! The skeleton of whatever answers requests: a Deployment that never has fewer pods than wanted while it rolls, a Service, a
//! disruption budget, and a HorizontalPodAutoscaler when load says how many.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        autoscaling::v2::{
            CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
            MetricTarget, ResourceMetricSource,
        },
        core::v1::{PodTemplateSpec, Service, ServicePort, ServiceSpec},
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    meta,
    pod::{self, ADMIN_PORT, Parts, Probes},
    settings,
};
use crate::{
    controller::{
        names::{self, Component},
        progress::MODEL_ANNOTATION,
        stack::{HorizontalScale, HttpRole, Replicas, Stack},
    },
    crd,
};

/// Children of something that answers requests.
#[derive(Debug, Clone)]
pub(crate) struct HttpObjects {
    pub(crate) deployment: Deployment,
    /// Absent where requests come only after searches have moved there.
    pub(crate) service: Option<Service>,
    pub(crate) disruption_budget: PodDisruptionBudget,
    pub(crate) autoscaler: Option<HorizontalPodAutoscaler>,
}

/// A role of ours on its port.
pub(crate) fn role(
    stack: &Stack,
    component: Component,
    port: u16,
    role: &HttpRole,
    resources: crd::Resources,
) -> HttpObjects {
    let template = role_template(stack, component, Some(port), &role.pod, resources);
    objects(stack, component, port, role, template)
}

/// A pod that runs a subcommand of ours.
pub(crate) fn role_template(
    stack: &Stack,
    component: Component,
    port: Option<u16>,
    wishes: &crd::Pod,
    resources: crd::Resources,
) -> PodTemplateSpec {
    let ports = port.map(|port| ("http", port)).into_iter().chain([("admin", ADMIN_PORT)]).collect();
    let marks = &stack.model.marks;
    let mark = if stack.model.is_beside(component) { &marks.beside } else { &marks.current };
    let annotations = [
        (pod::CONFIG_ANNOTATION.to_owned(), settings::hash(stack, component)),
        (MODEL_ANNOTATION.to_owned(), mark.clone()),
    ];
    pod::template(
        stack,
        Parts {
            component,
            image: stack.image.clone(),
            command: None,
            args: settings::arguments(&[component.program()], component),
            env: settings::variables(stack, component),
            ports,
            mounts: settings::mounts(stack, component),
            probes: Probes {
                // Answers from the first moment, also while a store is waited for.
                startup: Some(pod::http_probe("/healthz", ADMIN_PORT, 1, 60)),
                liveness: Some(pod::http_probe("/healthz", ADMIN_PORT, 10, 3)),
                readiness: Some(pod::http_probe("/readyz", ADMIN_PORT, 2, 3)),
            },
            resources,
            wishes,
            annotations: annotations.into(),
            service_account: stack.child_named("roles"),
            // The pause before the end, a drain of 20 s, and some air.
            grace_s: pod::PRE_STOP_S + 30,
            pre_stop: port.is_some(),
        },
    )
}

/// Everything around a pod that answers requests.
pub(crate) fn objects(
    stack: &Stack,
    component: Component,
    port: u16,
    role: &HttpRole,
    template: PodTemplateSpec,
) -> HttpObjects {
    let (replicas, autoscaler) = match &role.replicas {
        Replicas::Fixed(replicas) => (Some(*replicas), None),
        Replicas::ByLoad(scale) => (None, Some(autoscaler(stack, component, scale))),
    };
    HttpObjects {
        deployment: deployment(stack, component, replicas, template),
        service: Some(service(stack, component, &[("http", port)])),
        disruption_budget: disruption_budget(stack, component),
        autoscaler,
    }
}

/// Without `replicas`, somebody else says how many.
pub(crate) fn deployment(
    stack: &Stack,
    component: Component,
    replicas: Option<i32>,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata: meta::owned(stack, component),
        spec: DeploymentSpec {
            replicas,
            revision_history_limit: Some(3),
            selector: names::selector(&stack.name, component),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

pub(crate) fn service(stack: &Stack, component: Component, ports: &[(&str, u16)]) -> Service {
    Service {
        metadata: meta::owned(stack, component),
        spec: Some(ServiceSpec {
            // What is left out stays as somebody else has set it, a LoadBalancer too.
            type_: Some("ClusterIP".into()),
            selector: Some(names::selector_labels(&stack.name, component)),
            ports: Some(ports.iter().map(|(name, port)| service_port(name, *port)).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

pub(crate) fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: port.into(),
        target_port: Some(IntOrString::Int(port.into())),
        ..ServicePort::default()
    }
}

/// One pod at a time may be taken off its node. Asking for one that stays would keep a node with the only pod from being
/// emptied for ever.
pub(crate) fn disruption_budget(stack: &Stack, component: Component) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::owned(stack, component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(names::selector_labels(&stack.name, component)),
                ..LabelSelector::default()
            }),
            // A pod that isn't ready anyway may always go.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

fn autoscaler(stack: &Stack, component: Component, scale: &HorizontalScale) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler {
        metadata: meta::owned(stack, component),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: stack.child(component),
            },
            min_replicas: Some(scale.min),
            max_replicas: scale.max,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".into(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".into(),
                    target: MetricTarget {
                        type_: "Utilization".into(),
                        average_utilization: Some(scale.target_cpu_utilization),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..HorizontalPodAutoscalerSpec::default()
        },
        ..HorizontalPodAutoscaler::default()
    }
}
