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

/// Those of the model that searches use.
pub(crate) fn build(stack: &Stack) -> WorkerObjects {
    let scaling = &stack.ingestworker.scaling;
    // Whoever scales them says how many there are.
    let replicas = (scaling.mode == AutoscalingMode::Fixed).then_some(scaling.max);
    of(stack, stack.ingestworker_in_use(), replicas)
}

/// Those of the second model: always as many.
pub(crate) fn beside(stack: &Stack) -> WorkerObjects {
    of(stack, stack.ingestworker_beside(), Some(stack.model.reindex_workers))
}

fn of(stack: &Stack, component: Component, replicas: Option<i32>) -> WorkerObjects {
    let resources = pod::resources("250m", "512Mi", "3Gi");
    let template = http::role_template(stack, component, None, &stack.ingestworker.pod, resources);
    WorkerObjects {
        deployment: http::deployment(stack, component, replicas, template),
        disruption_budget: http::disruption_budget(stack, component),
    }
}
