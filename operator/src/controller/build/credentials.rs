//! Secrets that the operator makes: kept with the volumes that they open, and what follows from them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use shared::http::{CreatedKey, KeyFile, Scopes};

use super::meta;
use crate::{
    controller::{
        credentials::{Entries, ROTATION_ANNOTATION},
        names::{self, Component},
        stack::{Key, Stack},
    },
    crd,
};

pub(crate) fn build(stack: &Stack) -> Vec<Secret> {
    let mut secrets = Vec::new();
    if let Some(store) = &stack.object_store.managed {
        secrets.push(generated(stack, Component::ObjectStore, names::OBJECT_STORE_CREDENTIALS, &store.credentials));
    }
    if let Some(queue) = &stack.queue.managed {
        secrets.push(generated(stack, Component::Queue, names::QUEUE_CREDENTIALS, &queue.credentials));
    }
    if stack.auth.asks_for_keys {
        for key in &stack.auth.keys {
            secrets.push(generated(stack, Component::Stack, &names::key(&key.name), &key.entries));
        }
        secrets.push(keys_file(stack));
    }
    secrets
}

fn generated(stack: &Stack, component: Component, suffix: &str, entries: &Entries) -> Secret {
    let mut metadata = meta::retained_as(stack, component, stack.child_named(suffix));
    metadata.annotations = Some([(ROTATION_ANNOTATION.to_owned(), stack.rotation.clone())].into());
    let data = entries.0.iter().map(|(name, value)| (name.clone(), ByteString(value.clone().into_bytes())));
    Secret { metadata, data: Some(data.collect()), ..Secret::default() }
}

/// The keys as the roles read them: hashed. They look at the file again when it changes.
fn keys_file(stack: &Stack) -> Secret {
    // A key whose Secret somebody wrote nonsense into is left out: nobody can show it.
    let keys: Vec<CreatedKey> = stack.auth.keys.iter().filter_map(created_key).collect();
    let contents = KeyFile::contents(&keys).unwrap_or_default();
    Secret {
        metadata: meta::owned_as(stack, Component::Stack, stack.child_named("keys")),
        data: Some(BTreeMap::from([("keys.json".to_owned(), ByteString(contents))])),
        ..Secret::default()
    }
}

fn created_key(key: &Key) -> Option<CreatedKey> {
    let scopes: Scopes = key.scopes.iter().map(|scope| scope_of(*scope)).collect();
    let created = key.entries.get("created").parse().unwrap_or(Timestamp::UNIX_EPOCH);
    CreatedKey::known(key.entries.get("key"), &key.name, scopes, created)
}

fn scope_of(scope: crd::Scope) -> shared::http::Scope {
    match scope {
        crd::Scope::Read => shared::http::Scope::Read,
        crd::Scope::Ingest => shared::http::Scope::Ingest,
        crd::Scope::Delete => shared::http::Scope::Delete,
        crd::Scope::Admin => shared::http::Scope::Admin,
    }
}
