//! What the autoscaler is told of a stack.

use k8s_openapi::api::apps::v1::Deployment;
use shared::config::{Jetstream, Secret};

use super::{
    apply::Outcome,
    build,
    fetch::Observed,
    names::{self, Component},
    progress,
    stack::{Queue, SecretSource, Stack},
};
use crate::autoscaler::{Beside, Login, Nats, Target};

/// Whose workers are scaled, by which queue, and what keeps them as they are.
pub(crate) fn target(stack: &Stack, observed: &Observed, outcome: &Outcome) -> Target {
    Target {
        namespace: stack.namespace.clone(),
        deployment: stack.child(stack.ingestworker_in_use()),
        settings: stack.ingestworker.scaling.clone(),
        nats: nats(&stack.queue),
        stream: Jetstream::jobs_stream(&stack.queue.name),
        beside: beside(stack, observed),
        hold: hold(stack, observed, outcome),
    }
}

fn beside(stack: &Stack, observed: &Observed) -> Option<Beside> {
    let plan = &stack.model.plan;
    let (current, beside) = (&plan.current.as_ref()?.model, &plan.beside.as_ref()?.model);
    let fill = observed.jobs.get(&names::fill_job(&stack.name, &beside.choice)).filter(|_| stack.model.is_building());
    Some(Beside {
        source: beside.choice.source.clone(),
        // Two names of one model have their jobs in common.
        fingerprint: beside.fingerprint.clone().filter(|_| beside.fingerprint != current.fingerprint),
        bucket: Jetstream::models_bucket(&stack.queue.name),
        filled_since: fill.and_then(|job| Some(job.metadata.creation_timestamp.as_ref()?.0)),
    })
}

/// Jobs that are tried again since a store is down only look like load.
fn hold(stack: &Stack, observed: &Observed, outcome: &Outcome) -> Option<String> {
    let stores = [
        (Component::ObjectStore, "the object store", stack.object_store.managed.is_some()),
        (Component::Index, "the index", !stack.index.external),
    ];
    stores.into_iter().find_map(|(component, name, managed)| {
        if managed {
            let serves = progress::is_serving(outcome.stateful_sets.get(&stack.child(component)));
            return (!serves).then(|| format!("{name} is not ready"));
        }
        let away = seems_away(stack, component, observed, outcome);
        away.then(|| format!("{name} seems to be away: no pod that needs it is ready"))
    })
}

/// Of a store that somebody else runs, those who need it tell: each of their pods is ready only while it answers. Without
/// workers nothing is tried again, and jobs that wait are load.
fn seems_away(stack: &Stack, store: Component, observed: &Observed, outcome: &Outcome) -> bool {
    let deployment = |role: Component| -> Option<&Deployment> {
        let name = stack.child(role);
        outcome.deployments.get(&name).or_else(|| observed.deployments.get(&name))
    };
    let pods = |role| deployment(role).and_then(|deployment| deployment.status.as_ref()?.replicas).unwrap_or(0);
    let ready = |role| deployment(role).and_then(|deployment| deployment.status.as_ref()?.ready_replicas).unwrap_or(0);
    let workers = stack.ingestworker_in_use();
    let roles = [Component::IngestApi, workers, stack.searchapi_in_use(), Component::CdnApi];
    pods(workers) > 0 && roles.into_iter().filter(|role| watches(*role, store)).all(|role| ready(role) == 0)
}

/// Whether a role's readiness depends on a store.
fn watches(role: Component, store: Component) -> bool {
    match store {
        Component::ObjectStore => {
            matches!(
                role,
                Component::IngestApi | Component::IngestWorker | Component::IngestWorkerB | Component::CdnApi
            )
        }
        Component::Index => matches!(
            role,
            Component::IngestWorker | Component::IngestWorkerB | Component::SearchApi | Component::SearchApiB
        ),
        _ => false,
    }
}

fn nats(queue: &Queue) -> Nats {
    let login = match &queue.managed {
        // Who may look at the streams, and do nothing else.
        Some(managed) => Login::User {
            user: build::OPERATOR_USER.into(),
            password: Secret::new(managed.credentials.get("operator-password").to_owned()),
        },
        None => queue.credentials.as_ref().map_or(Login::Anonymous, login),
    };
    let certificate = queue.tls.certificate.as_ref().map(|source| {
        (source.entries.get("tls.crt").to_owned(), Secret::new(source.entries.get("tls.key").to_owned()))
    });
    let ca = queue.tls.ca.as_ref().map(|source| source.entries.get("ca.crt").to_owned());
    Nats { servers: queue.servers.clone(), login, ca, certificate }
}

fn login(source: &SecretSource) -> Login {
    let entry = |name: &str| source.entries.0.get(name).cloned();
    if let (Some(user), Some(password)) = (entry("user"), entry("password")) {
        return Login::User { user, password: Secret::new(password) };
    }
    if let Some(token) = entry("token") {
        return Login::Token(Secret::new(token));
    }
    entry("nats.creds").map_or(Login::Anonymous, |credentials| Login::Credentials(Secret::new(credentials)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::controller::tests::{PRODUCTION, observed, validated};
    use serde_json::json;

    /// A role's Deployment, so many of its pods being ready.
    fn role(outcome: &mut Outcome, role: &str, pods: i32, ready: i32) {
        let deployment = json!({
            "spec": { "selector": {}, "template": {} }, "status": { "replicas": pods, "readyReplicas": ready },
        });
        outcome.deployments.insert(format!("photos-{role}"), serde_json::from_value(deployment).unwrap());
    }

    fn held(outcome: &Outcome) -> Option<String> {
        hold(&validated(PRODUCTION, &observed()).unwrap(), &Observed::default(), outcome)
    }

    #[test]
    fn a_store_of_somebody_else_is_away_when_nobody_who_needs_it_is_ready() {
        let mut outcome = Outcome::default();
        for (name, ready) in [("ingestapi", 1), ("ingestworker", 1), ("searchapi", 1), ("cdnapi", 1)] {
            role(&mut outcome, name, 1, ready);
        }
        assert_eq!(held(&outcome), None);
        // Workers that are started, or are broken, while searches are answered: the index is there.
        role(&mut outcome, "ingestworker", 3, 0);
        assert_eq!(held(&outcome), None);
        role(&mut outcome, "searchapi", 1, 0);
        assert_eq!(held(&outcome).unwrap(), "the index seems to be away: no pod that needs it is ready");
        role(&mut outcome, "searchapi", 1, 1);
        for name in ["ingestapi", "cdnapi"] {
            role(&mut outcome, name, 1, 0);
        }
        assert_eq!(held(&outcome).unwrap(), "the object store seems to be away: no pod that needs it is ready");
    }

    /// Otherwise a stack whose searches are broken would never get its first worker.
    #[test]
    fn jobs_that_no_worker_has_tried_are_load() {
        let mut outcome = Outcome::default();
        for name in ["ingestapi", "searchapi", "cdnapi"] {
            role(&mut outcome, name, 1, 0);
        }
        role(&mut outcome, "ingestworker", 0, 0);
        assert_eq!(held(&outcome), None);
    }

    #[test]
    fn roles_that_are_left_as_they_are_while_a_model_is_fetched_count_too() {
        let mut found = Outcome::default();
        role(&mut found, "ingestworker", 1, 0);
        let observed_roles = Observed { deployments: found.deployments, ..Observed::default() };
        let stack = validated(PRODUCTION, &observed()).unwrap();
        assert!(hold(&stack, &observed_roles, &Outcome::default()).is_some());
    }

    #[test]
    fn a_store_of_ours_is_away_when_its_server_is_not_ready() {
        let stack = validated("{}", &observed()).unwrap();
        assert_eq!(hold(&stack, &observed(), &Outcome::default()).unwrap(), "the object store is not ready");
        let mut outcome = Outcome { stateful_sets: observed().stateful_sets, ..Outcome::default() };
        assert_eq!(hold(&stack, &observed(), &outcome).unwrap(), "the index is not ready");
        let index = outcome.stateful_sets["photos-objectstore"].clone();
        outcome.stateful_sets.insert("photos-index".into(), index);
        assert_eq!(hold(&stack, &observed(), &outcome), None);
    }
}
