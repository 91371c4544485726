//! What runs to an end: fetching the model, and comparing stores at set times.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    meta,
    pod::{self, Parts, Probes},
    settings,
};
use crate::{
    controller::{
        names::{self, Component},
        stack::{RepairState, Stack},
    },
    crd,
};

/// Brings the model into the object store, once for each model that is wanted. Its pod alone may reach the internet.
pub(crate) fn fetch_model(stack: &Stack) -> Option<Job> {
    if !stack.model.is_fetched() {
        return None;
    }
    let mut template = template(stack, Component::Model, &["model", "fetch"], &stack.model.pod);
    // Until it works: a hub that is away comes back, and a token that is wrong is replaced in its Secret.
    restart(&mut template, "OnFailure");
    Some(Job {
        metadata: meta::owned_as(stack, Component::Model, stack.model.job.clone()),
        spec: Some(JobSpec { backoff_limit: Some(i32::MAX), template, ..JobSpec::default() }),
        ..Job::default()
    })
}

/// Repairs once what the loss of a volume has left, as soon as the stores serve.
pub(crate) fn repair(stack: &Stack) -> Option<Job> {
    let repair = stack.repair.as_ref().filter(|repair| repair.state != RepairState::Waiting)?;
    Some(Job {
        metadata: meta::owned_as(stack, Component::Check, repair.job.clone()),
        spec: Some(JobSpec { backoff_limit: Some(6), template: check_template(stack), ..JobSpec::default() }),
        ..Job::default()
    })
}

/// Compares pictures, index and queue at set times, and repairs what differs.
pub(crate) fn check(stack: &Stack) -> Option<CronJob> {
    let schedule = stack.check_schedule.clone()?;
    let template = check_template(stack);
    Some(CronJob {
        metadata: meta::owned(stack, Component::Check),
        spec: CronJobSpec {
            schedule,
            concurrency_policy: Some("Forbid".into()),
            starting_deadline_seconds: Some(3600),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::labels(&stack.name, Component::Check)),
                    ..ObjectMeta::default()
                }),
                // A pod's network may take a second to let it out.
                spec: Some(JobSpec { backoff_limit: Some(3), template, ..JobSpec::default() }),
            },
            ..CronJobSpec::default()
        },
        ..CronJob::default()
    })
}

fn check_template(stack: &Stack) -> PodTemplateSpec {
    let mut template = template(stack, Component::Check, &["check", "--repair"], &stack.check_pod);
    // Whoever looks for the reason finds the pod that failed.
    restart(&mut template, "Never");
    template
}

fn template(stack: &Stack, component: Component, command: &[&str], wishes: &crd::Pod) -> PodTemplateSpec {
    let mut mounts = settings::mounts(stack, component);
    if let Some((reference, _)) = stack.model.token.as_ref().filter(|_| component == Component::Model) {
        mounts = mounts.secret("model-token", &reference.name, settings::MODEL_TOKEN_FOLDER);
    }
    pod::template(
        stack,
        Parts {
            component,
            image: stack.image.clone(),
            command: None,
            args: settings::arguments(command, Component::IngestApi),
            env: settings::variables(stack, component),
            ports: Vec::new(),
            mounts,
            probes: Probes::default(),
            resources: pod::resources("50m", "256Mi", "2Gi"),
            wishes,
            annotations: BTreeMap::new(),
            service_account: stack.child_named("roles"),
            grace_s: 30,
            pre_stop: false,
        },
    )
}

fn restart(template: &mut PodTemplateSpec, policy: &str) {
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some(policy.to_owned());
    }
}
