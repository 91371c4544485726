//! How the page is reached from outside, and how metrics are found: kinds that the cluster may not know are written as JSON.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use kube::core::DynamicObject;
use serde_json::json;

use super::meta;
use crate::{
    controller::{
        kinds,
        names::{self, Component},
        stack::Stack,
    },
    crd::{self, IngressType},
};

/// As much as the services take: they say themselves when it is too much.
const BODY_SIZE: (&str, &str) = ("nginx.ingress.kubernetes.io/proxy-body-size", "0");
/// Uploads go on as they come.
const BUFFERING: (&str, &str) = ("nginx.ingress.kubernetes.io/proxy-request-buffering", "off");

pub(crate) fn ingress(stack: &Stack) -> Option<Ingress> {
    let wish = stack.ingress.as_ref().filter(|wish| wish.r#type == IngressType::Ingress)?;
    let mut metadata = meta::owned(stack, Component::Frontend);
    let mut annotations: BTreeMap<String, String> =
        [BODY_SIZE, BUFFERING].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    annotations.extend(wish.annotations.clone());
    metadata.annotations = Some(annotations);
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: stack.child(Component::Frontend),
            port: Some(ServiceBackendPort { name: Some("http".into()), ..ServiceBackendPort::default() }),
        }),
        ..IngressBackend::default()
    };
    let path = HTTPIngressPath { path: Some("/".into()), path_type: "Prefix".into(), backend };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wish.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: wish.host.clone(),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: wish.tls_secret_name.clone().map(|secret_name| {
                vec![IngressTLS { hosts: wish.host.clone().map(|host| vec![host]), secret_name: Some(secret_name) }]
            }),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}

/// An HTTPRoute of the Gateway API.
pub(crate) fn route(stack: &Stack) -> Option<DynamicObject> {
    let wish = stack.ingress.as_ref().filter(|wish| wish.r#type == IngressType::Gateway)?;
    let mut metadata = meta::owned(stack, Component::Frontend);
    metadata.annotations = Some(wish.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let mut route = DynamicObject::new("", &kinds::http_route());
    route.metadata = metadata;
    route.data = json!({ "spec": {
        "parentRefs": wish.parent_refs.iter().map(parent).collect::<Vec<_>>(),
        "hostnames": wish.host.iter().collect::<Vec<_>>(),
        "rules": [{ "backendRefs": [{ "name": stack.child(Component::Frontend), "port": super::frontend::PORT }] }],
    }});
    Some(route)
}

fn parent(parent: &crd::ParentRef) -> serde_json::Value {
    let mut reference = json!({ "name": parent.name });
    if let Some(namespace) = &parent.namespace {
        reference["namespace"] = json!(namespace);
    }
    if let Some(section) = &parent.section_name {
        reference["sectionName"] = json!(section);
    }
    reference
}

/// Tells Prometheus where the metrics of the roles are.
pub(crate) fn pod_monitor(stack: &Stack) -> Option<DynamicObject> {
    if !stack.pod_monitors {
        return None;
    }
    let mut monitor = DynamicObject::new("", &kinds::pod_monitor());
    monitor.metadata = meta::owned_as(stack, Component::Stack, stack.child_named("roles"));
    monitor.data = json!({ "spec": {
        "selector": { "matchLabels": { "app.kubernetes.io/name": "imagesearch", names::INSTANCE_LABEL: stack.name } },
        "podTargetLabels": [names::INSTANCE_LABEL, names::COMPONENT_LABEL],
        "podMetricsEndpoints": [{ "port": "admin", "path": "/metrics" }],
    }});
    Some(monitor)
}
