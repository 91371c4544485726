//! The index: one Milvus server, with etcd and its log inside of it, its segments in the stack's object store.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};
use url::Url;

use super::{
    pod::{self, Mounts, Parts, Probes, variable_of},
    server::{self, ServerObjects, VOLUME},
};
use crate::controller::{
    hash,
    names::Component,
    stack::{Server, Stack},
    validate::INDEX_PORT,
};

const METRICS_PORT: u16 = 9091;
/// Milvus's own bucket in the managed store; its folder in a bucket of somebody else's.
const OWN: &str = "milvus";
const FOLDER: &str = "/var/lib/milvus";

pub(crate) fn build(stack: &Stack, server: &Server) -> ServerObjects {
    let credentials = stack.object_store.credentials.as_ref().map(|credentials| &credentials.entries.0);
    let mut env = vec![
        variable_of("DEPLOY_MODE", "STANDALONE"),
        variable_of("ETCD_USE_EMBED", "true"),
        variable_of("ETCD_DATA_DIR", &format!("{FOLDER}/etcd")),
        variable_of("COMMON_STORAGETYPE", "remote"),
        // Every read waits for a tick.
        variable_of("PROXY_TIMETICKINTERVAL", "20"),
        // The default lingers for half an hour.
        variable_of("COMMON_GRACEFULSTOPTIMEOUT", "20"),
    ];
    env.extend(storage(stack));
    let template = pod::template(
        stack,
        Parts {
            component: Component::Index,
            image: server.image.clone(),
            command: None,
            args: ["milvus", "run", "standalone"].map(str::to_owned).into(),
            env,
            ports: vec![("grpc", INDEX_PORT), ("metrics", METRICS_PORT)],
            mounts: Mounts::default()
                .claim(VOLUME, FOLDER)
                .scratch("tmp", "/tmp", "1Gi")
                .scratch("run", "/run", "16Mi"),
            probes: Probes {
                startup: Some(pod::http_probe("/healthz", METRICS_PORT, 2, 150)),
                liveness: Some(pod::http_probe("/healthz", METRICS_PORT, 15, 8)),
                readiness: Some(pod::http_probe("/healthz", METRICS_PORT, 2, 3)),
            },
            resources: pod::resources("200m", "512Mi", "4Gi"),
            wishes: &server.pod,
            annotations: [(pod::CONFIG_ANNOTATION.to_owned(), hash::of(&credentials))].into(),
            service_account: stack.child_named("stores"),
            grace_s: 40,
            pre_stop: false,
        },
    );
    server::objects(stack, Component::Index, server, &[("grpc", INDEX_PORT)], None, template)
}

/// Where it keeps its segments. It reads the keys from the environment and from nowhere else.
fn storage(stack: &Stack) -> Vec<EnvVar> {
    let store = &stack.object_store;
    let endpoint = store.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let secure = endpoint.as_ref().is_none_or(|endpoint| endpoint.scheme() == "https");
    let host = endpoint
        .as_ref()
        .and_then(Url::host_str)
        .map_or_else(|| format!("s3.{}.amazonaws.com", store.region), str::to_owned);
    let port = endpoint.as_ref().and_then(Url::port_or_known_default).unwrap_or(443);
    let (bucket, folder) = if store.managed.is_some() {
        (OWN, "files".to_owned())
    } else {
        (store.bucket.as_str(), format!("{}{OWN}", store.prefix.as_deref().unwrap_or_default()))
    };
    let mut variables = vec![
        variable_of("MINIO_ADDRESS", &format!("{host}:{port}")),
        variable_of("MINIO_USESSL", if secure { "true" } else { "false" }),
        variable_of("MINIO_BUCKETNAME", bucket),
        variable_of("MINIO_ROOTPATH", &folder),
        variable_of("MINIO_REGION", &store.region),
    ];
    match &store.credentials {
        Some(credentials) => variables.extend([
            from_secret("MINIO_ACCESSKEYID", &credentials.name, "access-key-id"),
            from_secret("MINIO_SECRETACCESSKEY", &credentials.name, "secret-access-key"),
        ]),
        None => variables.push(variable_of("MINIO_USEIAM", "true")),
    }
    variables
}

fn from_secret(variable: &str, secret: &str, entry: &str) -> EnvVar {
    EnvVar {
        name: variable.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: entry.to_owned(),
                ..SecretKeySelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}
