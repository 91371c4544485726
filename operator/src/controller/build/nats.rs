//! The queue: NATS with JetStream on volumes, one server or three, and nobody without a password.

use k8s_openapi::{
    ByteString,
    api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Secret},
};
use serde_json::json;
use shared::config::Jetstream;

use super::{
    meta,
    pod::{self, Mounts, Parts, Probes},
    server::{self, ServerObjects, VOLUME},
};
use crate::controller::{
    hash,
    names::Component,
    stack::{ManagedQueue, Stack},
    validate::QUEUE_PORT,
};

const ROUTE_PORT: u16 = 6222;
const MONITOR_PORT: u16 = 8222;
/// Who asks for the lag and for how far a model is, and may do nothing else.
pub(crate) const OPERATOR_USER: &str = "operator";
const LAG_SUBJECTS: [&str; 4] =
    ["$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.LIST.>", "$JS.API.CONSUMER.INFO.>", "$JS.API.INFO"];

pub(crate) fn build(stack: &Stack, queue: &ManagedQueue) -> ServerObjects {
    let progress = format!("$JS.API.STREAM.MSG.GET.KV_{}", Jetstream::models_bucket(&stack.queue.name));
    let config = configuration(stack, queue, &[&LAG_SUBJECTS[..], &[&progress]].concat());
    // No queue is restarted so that it can be told how far a model is: one that was begun without that may be asked after its
    // next start.
    let hash = hash::of(&configuration(stack, queue, &LAG_SUBJECTS));
    let name = stack.child_named("queue-config");
    let template = pod::template(
        stack,
        Parts {
            component: Component::Queue,
            image: queue.server.image.clone(),
            command: None,
            args: vec!["--config".into(), "/etc/nats/nats.conf".into()],
            env: vec![pod_name()],
            ports: vec![("nats", QUEUE_PORT), ("routes", ROUTE_PORT), ("monitor", MONITOR_PORT)],
            mounts: Mounts::default().claim(VOLUME, "/data").secret("config", &name, "/etc/nats"),
            probes: Probes {
                startup: Some(pod::http_probe("/healthz?js-server-only=true", MONITOR_PORT, 1, 300)),
                liveness: Some(pod::http_probe("/healthz?js-enabled-only=true", MONITOR_PORT, 10, 3)),
                readiness: Some(pod::http_probe("/healthz?js-server-only=true", MONITOR_PORT, 2, 3)),
            },
            resources: pod::resources("50m", "64Mi", "512Mi"),
            wishes: &queue.server.pod,
            annotations: [(pod::CONFIG_ANNOTATION.to_owned(), hash)].into(),
            service_account: stack.child_named("stores"),
            grace_s: 30,
            pre_stop: false,
        },
    );
    let secret = Secret {
        metadata: meta::owned_as(stack, Component::Queue, name),
        data: Some([("nats.conf".to_owned(), ByteString(config.into_bytes()))].into()),
        ..Secret::default()
    };
    server::objects(stack, Component::Queue, &queue.server, &[("nats", QUEUE_PORT)], Some(secret), template)
}

fn pod_name() -> EnvVar {
    EnvVar {
        name: "POD_NAME".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".into(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// `asked` are the subjects on which the operator may ask.
fn configuration(stack: &Stack, queue: &ManagedQueue, asked: &[&str]) -> String {
    let credentials = &queue.credentials;
    let mut users = vec![user(credentials.get("user"), credentials.get("password"), None)];
    // Pods that were started before the last rotation are still let in.
    if let (Some(user_before), Some(password)) = (credentials.previous("user"), credentials.previous("password")) {
        users.push(user(user_before, password, None));
    }
    let asked = asked.iter().map(|subject| json!(subject).to_string()).collect::<Vec<_>>().join(", ");
    let permissions = format!(r#"{{publish: [{asked}], subscribe: "_INBOX.>"}}"#);
    users.push(user(OPERATOR_USER, credentials.get("operator-password"), Some(&permissions)));
    let mut lines = vec![
        "server_name: $POD_NAME".to_owned(),
        format!("port: {QUEUE_PORT}"),
        format!("http_port: {MONITOR_PORT}"),
        // One server: what it has acknowledged must be on the disk. Three: it is on two.
        format!(
            "jetstream {{ store_dir: /data, sync_interval: {} }}",
            if queue.server.replicas == 1 { "always" } else { "2m" }
        ),
        format!("authorization {{ users: [\n  {}\n] }}", users.join(",\n  ")),
    ];
    if queue.server.replicas > 1 {
        lines.push(cluster(stack, queue));
    }
    lines.join("\n") + "\n"
}

fn user(name: &str, password: &str, permissions: Option<&str>) -> String {
    let permissions = permissions.map(|permissions| format!(", permissions: {permissions}")).unwrap_or_default();
    format!("{{user: {name}, password: {password}{permissions}}}")
}

fn cluster(stack: &Stack, queue: &ManagedQueue) -> String {
    let (name, peers) = (stack.child(Component::Queue), server::peers_name(stack, Component::Queue));
    let password = queue.credentials.get("route-password");
    let routes: Vec<String> = (0..queue.server.replicas)
        .map(|ordinal| format!("nats://route:{password}@{name}-{ordinal}.{peers}.{}.svc:{ROUTE_PORT}", stack.namespace))
        .collect();
    format!(
        "cluster {{\n  name: {name}\n  port: {ROUTE_PORT}\n  authorization {{ user: route, password: {password}, timeout: 2 }}\n  routes: [{}]\n}}",
        routes.join(", ")
    )
}
