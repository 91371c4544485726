//! The configuration of the roles: a file for each in a ConfigMap, secrets as files beside it, and a hash over both that
//! rolls the pods when one changes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, EnvVar};
use serde_json::{Value, json};

use super::{
    meta,
    pod::{ADMIN_PORT, Mounts, variable_of},
};
use crate::{
    controller::{
        hash,
        names::Component,
        stack::{SecretSource, Stack, Tls},
    },
    crd::{BesideState, ModelChoice},
};

const CONFIG_FOLDER: &str = "/etc/imagesearch";
const SECRETS_FOLDER: &str = "/secrets";
const KEYS_FOLDER: &str = "/keys";
const DATA_FOLDER: &str = "/data";
pub(crate) const MODEL_TOKEN_FOLDER: &str = "/secrets/model-token";

/// Those that have a file.
fn configured(stack: &Stack) -> Vec<Component> {
    let mut roles = vec![Component::IngestApi, Component::CdnApi];
    for slot in stack.slots() {
        roles.extend([Component::ingestworker(slot), Component::searchapi(slot)]);
    }
    roles.extend(Some(of_fetch(stack)).filter(|role| *role == Component::Model));
    roles
}

/// Whose file the fetch of a model reads: a model that searches don't use yet stands in no role's.
pub(crate) fn of_fetch(stack: &Stack) -> Component {
    let is_change = !stack.model.is_first() && !stack.model.is_current() && stack.model.is_fetched();
    if is_change { Component::Model } else { Component::IngestApi }
}

/// All files.
pub(crate) fn config_map(stack: &Stack) -> ConfigMap {
    let files = configured(stack).into_iter().map(|role| (file_name(role), file(stack, role)));
    ConfigMap {
        metadata: meta::owned_as(stack, Component::Stack, stack.child_named("conf")),
        data: Some(files.collect()),
        ..ConfigMap::default()
    }
}

/// Arguments of a pod that runs a subcommand with a role's configuration.
pub(crate) fn arguments(command: &[&str], role: Component) -> Vec<String> {
    let path = format!("{CONFIG_FOLDER}/{}", file_name(role));
    command.iter().map(|word| (*word).to_owned()).chain(["--config".to_owned(), path]).collect()
}

/// Changes with everything that a role reads when it starts. The keys file is not among it: that is read again when it changes.
pub(crate) fn hash(stack: &Stack, role: Component) -> String {
    let secrets: Vec<_> = secrets(stack, role).into_iter().map(|(_, source)| &source.entries.0).collect();
    hash::of(&(file(stack, role), secrets))
}

/// What a role's pod mounts.
pub(crate) fn mounts(stack: &Stack, role: Component) -> Mounts {
    let mut mounts = Mounts::default()
        .config("config", &stack.child_named("conf"), CONFIG_FOLDER)
        // Parts of uploads, and the model.
        .scratch("data", DATA_FOLDER, "4Gi")
        .scratch("tmp", "/tmp", "64Mi");
    for (folder, source) in secrets(stack, role) {
        mounts = mounts.secret(folder, &source.name, &format!("{SECRETS_FOLDER}/{folder}"));
    }
    if stack.auth.asks_for_keys {
        mounts = mounts.secret("keys", &stack.child_named("keys"), KEYS_FOLDER);
    }
    mounts
}

/// Where secrets are to be read.
pub(crate) fn variables(stack: &Stack, role: Component) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    for (folder, source) in secrets(stack, role) {
        for (entry, variable) in variables_of(folder) {
            if source.entries.0.contains_key(*entry) {
                variables.push(variable_of(variable, &format!("{SECRETS_FOLDER}/{folder}/{entry}")));
            }
        }
    }
    if let Some((reference, _)) = &stack.model.token {
        let path = format!("{MODEL_TOKEN_FOLDER}/{}", reference.key);
        if role == Component::Model {
            variables.push(variable_of("IMAGESEARCH_MODEL__TOKEN_FILE", &path));
        }
    }
    if let Some(traces) = &stack.traces {
        // Of traces alone: logs are collected from the pods, and would be there twice.
        variables.push(variable_of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces.endpoint));
        variables.push(variable_of("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"));
        let belongs_to = format!("service.namespace={},k8s.namespace.name={}", stack.name, stack.namespace);
        variables.push(variable_of("OTEL_RESOURCE_ATTRIBUTES", &belongs_to));
        variables.push(variable_of("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"));
        variables.push(variable_of("OTEL_TRACES_SAMPLER_ARG", &traces.sample_ratio));
    }
    variables
}

/// Which entries are given by which variable.
fn variables_of(folder: &str) -> &'static [(&'static str, &'static str)] {
    match folder {
        "objects" => &[
            ("access-key-id", "IMAGESEARCH_OBJECTS__ACCESS_KEY_ID_FILE"),
            ("secret-access-key", "IMAGESEARCH_OBJECTS__SECRET_ACCESS_KEY_FILE"),
        ],
        "queue" => &[
            ("user", "IMAGESEARCH_QUEUE__USER_FILE"),
            ("password", "IMAGESEARCH_QUEUE__PASSWORD_FILE"),
            ("token", "IMAGESEARCH_QUEUE__TOKEN_FILE"),
            ("nats.creds", "IMAGESEARCH_QUEUE__CREDENTIALS_FILE"),
        ],
        "index" => &[
            ("user", "IMAGESEARCH_INDEX__USER_FILE"),
            ("password", "IMAGESEARCH_INDEX__PASSWORD_FILE"),
            ("token", "IMAGESEARCH_INDEX__TOKEN_FILE"),
        ],
        _ => &[],
    }
}

/// The Secrets that a role reads, each with the folder below which its entries lie.
fn secrets(stack: &Stack, role: Component) -> Vec<(&'static str, &SecretSource)> {
    let needs = needs(role);
    let Tls { ca: queue_ca, certificate: queue_certificate } = &stack.queue.tls;
    let Tls { ca: index_ca, certificate: index_certificate } = &stack.index.tls;
    let all = [
        (needs.objects, "objects", &stack.object_store.credentials),
        (needs.objects, "objects-ca", &stack.object_store.ca),
        (needs.queue, "queue", &stack.queue.credentials),
        (needs.queue, "queue-ca", queue_ca),
        (needs.queue, "queue-certificate", queue_certificate),
        (needs.index, "index", &stack.index.credentials),
        (needs.index, "index-ca", index_ca),
        (needs.index, "index-certificate", index_certificate),
    ];
    all.into_iter()
        .filter(|(needed, ..)| *needed)
        .filter_map(|(_, folder, source)| Some((folder, source.as_ref()?)))
        .collect()
}

/// Which stores a role talks to.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct Needs {
    pub(crate) objects: bool,
    pub(crate) queue: bool,
    pub(crate) index: bool,
    /// Public addresses.
    pub(crate) internet: bool,
}

pub(crate) fn needs(role: Component) -> Needs {
    let (objects, queue, index, internet) = match role {
        Component::IngestApi | Component::Check | Component::ModelChange => (true, true, true, false),
        Component::IngestWorker | Component::IngestWorkerB => (true, true, true, true),
        Component::SearchApi | Component::SearchApiB => (true, false, true, false),
        Component::Model => (true, false, false, true),
        Component::CdnApi | Component::Index => (true, false, false, false),
        Component::Stack | Component::ObjectStore | Component::Queue | Component::Frontend => {
            (false, false, false, false)
        }
    };
    Needs { objects, queue, index, internet }
}

fn file_name(role: Component) -> String {
    format!("{}.yaml", role.label())
}

fn file(stack: &Stack, role: Component) -> String {
    let mut settings = BTreeMap::from([
        ("data_dir", json!(DATA_FOLDER)),
        ("admin", json!({ "listen": format!("0.0.0.0:{ADMIN_PORT}") })),
        ("auth", auth(stack)),
        ("objects", objects(stack)),
        ("queue", queue(stack)),
        ("index", index(stack)),
        ("log", without_null(json!({ "format": "json", "filter": stack.log_filter }))),
        ("ingestapi", ingestapi(stack)),
    ]);
    // Who loads none isn't rolled for another one.
    if role != Component::CdnApi {
        settings.insert("model", models(stack, role));
    }
    match role {
        Component::IngestWorker | Component::IngestWorkerB => {
            settings
                .insert("ingestworker", json!({ "fetch": { "allow_networks": stack.ingestworker.allow_networks } }));
        }
        Component::SearchApi | Component::SearchApiB => {
            settings.insert("searchapi", json!({ "listen": "0.0.0.0:8001" }));
        }
        Component::CdnApi => {
            let mut cdnapi = json!({ "listen": "0.0.0.0:8002" });
            if !stack.variant_sizes.is_empty() {
                cdnapi["variant_sizes"] = json!(stack.variant_sizes);
            }
            settings.insert("cdnapi", cdnapi);
        }
        _ => {}
    }
    // A map of texts to JSON can always be written.
    serde_saphyr::to_string(&settings).unwrap_or_default()
}

fn auth(stack: &Stack) -> Value {
    if stack.auth.asks_for_keys {
        let file = format!("{KEYS_FOLDER}/keys.json");
        json!({ "mode": "keys", "keys_file": file, "public_read": stack.auth.public_read })
    } else {
        json!({ "mode": "none" })
    }
}

/// The model of a role; of those that make jobs and take them, also the second one.
fn models(stack: &Stack, role: Component) -> Value {
    let models = &stack.model;
    let (own, other) = match role {
        Component::Model => (Some(&models.wanted), None),
        _ if models.is_beside(role) => (models.beside(), Some(models.current())),
        _ => (Some(models.current()), models.beside().filter(|_| models.has_two())),
    };
    let mut settings = own.map(model).unwrap_or_default();
    let knows_other = matches!(role, Component::IngestApi | Component::IngestWorker | Component::IngestWorkerB);
    if let Some(other) = other.filter(|_| knows_other) {
        settings["beside"] = model(other);
        if !models.is_beside(role) && models.plan.is_beside(BesideState::Building) {
            settings["beside"]["fills"] = json!(true);
        }
    }
    settings
}

fn model(model: &ModelChoice) -> Value {
    let sha256 = match model.sha256.get("archive") {
        Some(archive) => json!(archive),
        None if model.sha256.is_empty() => Value::Null,
        None => json!(model.sha256),
    };
    without_null(json!({ "source": model.source, "sha256": sha256 }))
}

fn objects(stack: &Stack) -> Value {
    let store = &stack.object_store;
    without_null(json!({
        "type": "s3",
        "endpoint": store.endpoint,
        "region": store.region,
        "bucket": store.bucket,
        "prefix": store.prefix,
        "path_style": store.path_style,
        "server_side_encryption": store.server_side_encryption,
        "create_bucket": store.managed.is_some(),
        "ca_file": store.ca.as_ref().map(|_| format!("{SECRETS_FOLDER}/objects-ca/ca.crt")),
    }))
}

fn queue(stack: &Stack) -> Value {
    let queue = &stack.queue;
    let mut settings = json!({
        "type": "jetstream",
        "servers": queue.servers,
        "name": queue.name,
        "replicas": queue.replicas,
        "max_jobs": queue.max_jobs,
    });
    certificates(&mut settings, "queue", &queue.tls);
    without_null(settings)
}

fn index(stack: &Stack) -> Value {
    let index = &stack.index;
    let mut settings = json!({
        "type": "milvus",
        "url": index.url,
        "database": index.database,
        "collection_prefix": index.prefix,
    });
    certificates(&mut settings, "index", &index.tls);
    without_null(settings)
}

fn certificates(settings: &mut Value, store: &str, tls: &Tls) {
    if tls.ca.is_some() {
        settings["ca_file"] = json!(format!("{SECRETS_FOLDER}/{store}-ca/ca.crt"));
    }
    if tls.certificate.is_some() {
        settings["certificate_file"] = json!(format!("{SECRETS_FOLDER}/{store}-certificate/tls.crt"));
        settings["key_file"] = json!(format!("{SECRETS_FOLDER}/{store}-certificate/tls.key"));
    }
}

/// Everybody who decodes needs the limit, not only who takes uploads.
fn ingestapi(stack: &Stack) -> Value {
    without_null(json!({ "listen": "0.0.0.0:8000", "max_image_bytes": stack.max_upload_bytes }))
}

fn without_null(mut settings: Value) -> Value {
    if let Value::Object(map) = &mut settings {
        map.retain(|_, value| !value.is_null());
    }
    settings
}
