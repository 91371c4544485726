//! What the autoscaler is told of a stack.

use shared::config::{Jetstream, Secret};

use super::{
    apply::Outcome,
    build,
    names::Component,
    progress,
    stack::{Queue, SecretSource, Stack},
};
use crate::autoscaler::{Login, Nats, Target};

/// Whose workers are scaled, by which queue, and what keeps them as they are.
pub(crate) fn target(stack: &Stack, outcome: &Outcome) -> Target {
    Target {
        namespace: stack.namespace.clone(),
        deployment: stack.child(Component::IngestWorker),
        settings: stack.ingestworker.scaling.clone(),
        nats: nats(&stack.queue),
        stream: Jetstream::jobs_stream(&stack.queue.name),
        hold: hold(stack, outcome),
    }
}

/// Jobs that are tried again since a store is down only look like load.
fn hold(stack: &Stack, outcome: &Outcome) -> Option<String> {
    let stores = [
        (Component::ObjectStore, "the object store", stack.object_store.managed.is_some()),
        (Component::Index, "the index", !stack.index.external),
    ];
    let down = stores
        .into_iter()
        .filter(|(.., managed)| *managed)
        .find(|(component, ..)| !progress::is_serving(outcome.stateful_sets.get(&stack.child(*component))));
    down.map(|(_, name, _)| format!("{name} is not ready"))
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
