//! The skeleton of every pod: what `restricted` pod security asks for, probes, resources, places, and what is mounted.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction, Lifecycle,
        LifecycleHandler, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
        ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction, Toleration,
        TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use crate::{
    controller::{
        names::{self, Component},
        stack::Stack,
    },
    crd,
};

/// Nobody, in every image of ours.
const USER: i64 = 65532;
pub(crate) const ADMIN_PORT: u16 = 9090;
/// Annotation that rolls pods when what they are configured with changes.
pub(crate) const CONFIG_ANNOTATION: &str = "imagesearch.dev/config-hash";
/// After a pod is asked to end, requests still come until everybody has heard of it.
pub(crate) const PRE_STOP_S: i64 = 5;

/// What differs from pod to pod.
pub(crate) struct Parts<'a> {
    pub(crate) component: Component,
    pub(crate) image: String,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) ports: Vec<(&'static str, u16)>,
    pub(crate) mounts: Mounts,
    pub(crate) probes: Probes,
    /// Used where the spec says nothing.
    pub(crate) resources: crd::Resources,
    pub(crate) wishes: &'a crd::Pod,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) service_account: String,
    /// From being asked to end to being killed.
    pub(crate) grace_s: i64,
    /// Keeps serving for a moment after it was asked to end.
    pub(crate) pre_stop: bool,
}

/// How it is seen that a container lives and can work.
#[derive(Default)]
pub(crate) struct Probes {
    pub(crate) startup: Option<Probe>,
    pub(crate) liveness: Option<Probe>,
    pub(crate) readiness: Option<Probe>,
}

/// Volumes, and where they are mounted.
#[derive(Default)]
pub(crate) struct Mounts {
    volumes: Vec<Volume>,
    mounts: Vec<VolumeMount>,
}

impl Mounts {
    /// A folder that goes with the pod.
    pub(crate) fn scratch(mut self, name: &str, path: &str, size: &str) -> Self {
        let size_limit = Some(Quantity(size.to_owned()));
        self.volumes.push(Volume {
            name: name.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() }),
            ..Volume::default()
        });
        self.mount(name, path, false)
    }

    /// A Secret's entries as files that only the pod's user reads.
    pub(crate) fn secret(mut self, name: &str, secret: &str, path: &str) -> Self {
        self.volumes.push(Volume {
            name: name.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.to_owned()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
        self.mount(name, path, true)
    }

    pub(crate) fn config(mut self, name: &str, config_map: &str, path: &str) -> Self {
        self.volumes.push(Volume {
            name: name.to_owned(),
            config_map: Some(k8s_openapi::api::core::v1::ConfigMapVolumeSource {
                name: config_map.to_owned(),
                ..Default::default()
            }),
            ..Volume::default()
        });
        self.mount(name, path, true)
    }

    /// What is mounted comes from elsewhere: a claim of a StatefulSet.
    pub(crate) fn claim(self, name: &str, path: &str) -> Self {
        self.mount(name, path, false)
    }

    fn mount(mut self, name: &str, path: &str, read_only: bool) -> Self {
        self.mounts.push(VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        });
        self
    }
}

/// Asks a port by HTTP.
pub(crate) fn http_probe(path: &str, port: u16, period_s: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(port.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_s),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A whole pod.
pub(crate) fn template(stack: &Stack, parts: Parts<'_>) -> PodTemplateSpec {
    let Parts { component, wishes, annotations, service_account, grace_s, .. } = &parts;
    let mut labels = wishes.labels.clone();
    // Ours win: selectors are made of them.
    labels.extend(names::labels(&stack.name, *component));
    let mut all_annotations = wishes.annotations.clone();
    all_annotations.extend(annotations.clone());
    let spec = PodSpec {
        service_account_name: Some(service_account.clone()),
        automount_service_account_token: Some(false),
        // A stack called `imagesearch` would get variables that look like our configuration.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(*grace_s),
        image_pull_secrets: Some(stack.pull_secrets.iter().map(|name| pull_secret(name)).collect())
            .filter(|list: &Vec<_>| !list.is_empty()),
        node_selector: Some(wishes.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(wishes.tolerations.iter().map(toleration).collect()).filter(|list: &Vec<_>| !list.is_empty()),
        topology_spread_constraints: Some(spread(stack, *component, wishes)),
        priority_class_name: wishes.priority_class_name.clone(),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A large volume is not walked through at each start.
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        volumes: Some(parts.mounts.volumes.clone()).filter(|volumes| !volumes.is_empty()),
        containers: vec![container(parts)],
        ..PodSpec::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(all_annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn container(parts: Parts<'_>) -> Container {
    let further = parts.wishes.env.iter().map(|variable| variable_of(&variable.name, &variable.value));
    let lifecycle = Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds: PRE_STOP_S }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    };
    Container {
        name: parts.component.program().to_owned(),
        image: Some(parts.image),
        image_pull_policy: Some("IfNotPresent".into()),
        // Why a container ended is then in its status, and in ours.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        command: parts.command,
        args: Some(parts.args),
        env: Some(parts.env.into_iter().chain(further).collect()),
        ports: Some(parts.ports.into_iter().map(container_port).collect()),
        volume_mounts: Some(parts.mounts.mounts),
        startup_probe: parts.probes.startup,
        liveness_probe: parts.probes.liveness,
        readiness_probe: parts.probes.readiness,
        lifecycle: parts.pre_stop.then_some(lifecycle),
        resources: Some(requirements(parts.wishes.resources.as_ref().unwrap_or(&parts.resources))),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

pub(crate) fn variable_of(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

/// `cpu` asked for, memory asked for, memory at most. Processors have no limit: one that is idle may be used by all.
pub(crate) fn resources(cpu: &str, memory: &str, memory_limit: &str) -> crd::Resources {
    let list =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    crd::Resources { requests: list(&[("cpu", cpu), ("memory", memory)]), limits: list(&[("memory", memory_limit)]) }
}

fn requirements(resources: &crd::Resources) -> ResourceRequirements {
    let quantities = |list: &BTreeMap<String, String>| {
        let list: BTreeMap<String, Quantity> =
            list.iter().map(|(key, value)| (key.clone(), Quantity(value.clone()))).collect();
        Some(list).filter(|list| !list.is_empty())
    };
    ResourceRequirements {
        requests: quantities(&resources.requests),
        limits: quantities(&resources.limits),
        ..ResourceRequirements::default()
    }
}

fn container_port((name, port): (&'static str, u16)) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: port.into(), ..ContainerPort::default() }
}

fn pull_secret(name: &str) -> LocalObjectReference {
    LocalObjectReference { name: name.to_owned() }
}

fn toleration(toleration: &crd::Toleration) -> Toleration {
    Toleration {
        key: toleration.key.clone(),
        operator: toleration.operator.clone(),
        value: toleration.value.clone(),
        effect: toleration.effect.clone(),
        toleration_seconds: toleration.toleration_seconds,
    }
}

fn spread(stack: &Stack, component: Component, wishes: &crd::Pod) -> Vec<TopologySpreadConstraint> {
    let constraint = |key: &str, skew: i32, otherwise: &str| TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: skew,
        when_unsatisfiable: otherwise.to_owned(),
        label_selector: Some(names::selector(&stack.name, component)),
        ..TopologySpreadConstraint::default()
    };
    if wishes.topology_spread_constraints.is_empty() {
        return vec![constraint("kubernetes.io/hostname", 1, "ScheduleAnyway")];
    }
    let wished = wishes.topology_spread_constraints.iter();
    wished.map(|wish| constraint(&wish.topology_key, wish.max_skew, &wish.when_unsatisfiable)).collect()
}
