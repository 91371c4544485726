//! What runs to an end: fetching a model, filling and removing the collection of one, and comparing stores at set times.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{
            CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy,
            PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
        },
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

/// What `imagesearch model fill` ends with when trying again won't help: the model can't be used.
const UNUSABLE_MODEL: i32 = 6;

/// Brings the model into the object store, once for each model that is wanted. Its pod alone may reach the internet.
pub(crate) fn fetch_model(stack: &Stack) -> Option<Job> {
    if !stack.model.is_fetched() {
        return None;
    }
    let role = settings::of_fetch(stack);
    let resources = pod::resources("50m", "256Mi", "2Gi");
    let mut template = template(stack, Component::Model, &["model", "fetch"], role, resources, &stack.model.pod);
    // Until it works: a hub that is away comes back, and a token that is wrong is replaced in its Secret.
    restart(&mut template, "OnFailure");
    Some(Job {
        metadata: meta::owned_as(stack, Component::Model, stack.model.job.clone()),
        spec: Some(JobSpec { backoff_limit: Some(i32::MAX), template, ..JobSpec::default() }),
        ..Job::default()
    })
}

/// Brings the stored images into the collection of the model beside. It ends when that has all that searches find.
pub(crate) fn fill(stack: &Stack) -> Option<Job> {
    let model = stack.model.beside().filter(|_| stack.model.steps.fill)?;
    let mut template = change_template(stack, &["model", "fill"]);
    // A policy on how pods end takes no other.
    restart(&mut template, "Never");
    let is_unusable = PodFailurePolicyRule {
        action: "FailJob".into(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(Component::ModelChange.program().into()),
            operator: "In".into(),
            values: vec![UNUSABLE_MODEL],
        }),
        ..PodFailurePolicyRule::default()
    };
    let mut job = change_job(stack, names::fill_job(&stack.name, model), template);
    if let Some(spec) = &mut job.spec {
        spec.pod_failure_policy = Some(PodFailurePolicy { rules: vec![is_unusable] });
    }
    Some(job)
}

/// Removes the collection of a model that nobody uses any more.
pub(crate) fn remove(stack: &Stack) -> Option<Job> {
    let model = stack.model.beside().filter(|_| stack.model.steps.remove)?;
    let mut template = change_template(stack, &["model", "remove"]);
    restart(&mut template, "OnFailure");
    Some(change_job(stack, names::remove_job(&stack.name, model), template))
}

fn change_job(stack: &Stack, name: String, template: PodTemplateSpec) -> Job {
    Job {
        metadata: meta::owned_as(stack, Component::ModelChange, name),
        // A store that is away comes back.
        spec: Some(JobSpec { backoff_limit: Some(i32::MAX), template, ..JobSpec::default() }),
        ..Job::default()
    }
}

/// With the configuration of the second model's workers, and as much memory: it loads their model.
fn change_template(stack: &Stack, command: &[&str]) -> PodTemplateSpec {
    let resources = pod::resources("100m", "512Mi", "3Gi");
    template(stack, Component::ModelChange, command, stack.ingestworker_beside(), resources, &stack.ingestworker.pod)
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
    let resources = pod::resources("50m", "256Mi", "2Gi");
    let command = &["check", "--repair"];
    let mut template = template(stack, Component::Check, command, Component::IngestApi, resources, &stack.check_pod);
    // Whoever looks for the reason finds the pod that failed.
    restart(&mut template, "Never");
    template
}

/// A pod that runs a command with the configuration of `role`.
fn template(
    stack: &Stack,
    component: Component,
    command: &[&str],
    role: Component,
    resources: crd::Resources,
    wishes: &crd::Pod,
) -> PodTemplateSpec {
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
            args: settings::arguments(command, role),
            env: settings::variables(stack, component),
            ports: Vec::new(),
            mounts,
            probes: Probes::default(),
            resources,
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
