//! Decodes, embeds and indexes. Nobody sends requests to a worker, so it has no Service.

use k8s_openapi::api::{apps::v1::Deployment, policy::v1::PodDisruptionBudget};

use super::{http, pod};
use crate::{
    controller::{names::Component, stack::Stack},
    crd::AutoscalingMode,
};

/// Children of the workers.
#[derive(Debug, Clone)]
pub(crate) struct WorkerObjects {
    pub(crate) deployment: Deployment,
    pub(crate) disruption_budget: PodDisruptionBudget,
}

pub(crate) fn build(stack: &Stack) -> WorkerObjects {
    let worker = &stack.ingestworker;
    let resources = pod::resources("250m", "512Mi", "3Gi");
    let template = http::role_template(stack, Component::IngestWorker, None, &worker.pod, resources);
    // Whoever scales them says how many there are.
    let replicas = (worker.scaling.mode == AutoscalingMode::Fixed).then_some(worker.scaling.max);
    WorkerObjects {
        deployment: http::deployment(stack, Component::IngestWorker, replicas, template),
        disruption_budget: http::disruption_budget(stack, Component::IngestWorker),
    }
}
