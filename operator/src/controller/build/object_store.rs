//! The object store: MinIO or SeaweedFS, one server on one volume.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::json;

use super::{
    meta,
    pod::{self, Mounts, Parts, Probes, variable_of},
    server::{self, ServerObjects, VOLUME},
};
use crate::{
    controller::{
        hash,
        names::Component,
        quantity,
        stack::{ManagedObjectStore, Stack},
        validate::OBJECT_STORE_PORT,
    },
    crd::Engine,
};

/// What an engine's container is started with.
struct Start {
    args: Vec<String>,
    env: Vec<k8s_openapi::api::core::v1::EnvVar>,
    mounts: Mounts,
    probes: Probes,
    config: Option<Secret>,
}

pub(crate) fn build(stack: &Stack, store: &ManagedObjectStore) -> ServerObjects {
    let Start { args, env, mounts, probes, config } = match store.engine {
        Engine::MinIO => minio(stack),
        Engine::SeaweedFS => seaweedfs(stack, store),
    };
    let template = pod::template(
        stack,
        Parts {
            component: Component::ObjectStore,
            image: store.server.image.clone(),
            command: None,
            args,
            env,
            ports: vec![("s3", OBJECT_STORE_PORT)],
            mounts: mounts.claim(VOLUME, "/data").scratch("tmp", "/tmp", "1Gi"),
            probes,
            resources: pod::resources("50m", "128Mi", "1Gi"),
            wishes: &store.server.pod,
            annotations: [(pod::CONFIG_ANNOTATION.to_owned(), hash::of(&store.credentials.0))].into(),
            service_account: stack.child_named("stores"),
            grace_s: 30,
            pre_stop: false,
        },
    );
    server::objects(stack, Component::ObjectStore, &store.server, &[("s3", OBJECT_STORE_PORT)], config, template)
}

fn minio(stack: &Stack) -> Start {
    let credentials = stack.child_named("objectstore-credentials");
    Start {
        args: ["server", "/data", "--address"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!(":{OBJECT_STORE_PORT}")])
            .collect(),
        env: vec![
            variable_of("MINIO_ROOT_USER_FILE", "/secrets/access-key-id"),
            variable_of("MINIO_ROOT_PASSWORD_FILE", "/secrets/secret-access-key"),
            variable_of("MINIO_BROWSER", "off"),
            variable_of("HOME", "/tmp"),
        ],
        mounts: Mounts::default().secret("credentials", &credentials, "/secrets"),
        probes: Probes {
            startup: Some(pod::http_probe("/minio/health/live", OBJECT_STORE_PORT, 1, 300)),
            liveness: Some(pod::http_probe("/minio/health/live", OBJECT_STORE_PORT, 10, 6)),
            readiness: Some(pod::http_probe("/minio/health/ready", OBJECT_STORE_PORT, 2, 3)),
        },
        config: None,
    }
}

fn seaweedfs(stack: &Stack, store: &ManagedObjectStore) -> Start {
    let name = stack.child_named("objectstore-config");
    Start {
        args: [
            "server".to_owned(),
            "-dir=/data".into(),
            "-ip.bind=0.0.0.0".into(),
            format!("-master.volumeSizeLimitMB={}", volume_size_limit_mb(&store.server.storage)),
            // As many as the disk has room for, each counted as full.
            "-volume.max=0".into(),
            "-s3".into(),
            format!("-s3.port={OBJECT_STORE_PORT}"),
            "-s3.config=/etc/s3/s3.json".into(),
        ]
        .into(),
        env: Vec::new(),
        mounts: Mounts::default().secret("config", &name, "/etc/s3"),
        probes: Probes {
            startup: Some(pod::http_probe("/healthz", OBJECT_STORE_PORT, 1, 300)),
            liveness: Some(pod::http_probe("/healthz", OBJECT_STORE_PORT, 10, 6)),
            readiness: Some(pod::http_probe("/healthz", OBJECT_STORE_PORT, 2, 3)),
        },
        config: Some(Secret {
            metadata: meta::owned_as(stack, Component::ObjectStore, name),
            data: Some([("s3.json".to_owned(), ByteString(identities(store).into_bytes()))].into()),
            ..Secret::default()
        }),
    }
}

/// The size of `SeaweedFS`'s volumes, MiB. It begins each of our two buckets, and what belongs to none, with seven of them, and
/// refuses what it finds no room for a whole one for: so they are a small part of the disk.
fn volume_size_limit_mb(storage: &str) -> u64 {
    const PARTS: u64 = 64;
    /// What it can address.
    const LARGEST_MB: u64 = 30_000;

    let storage_mb = quantity::bytes(storage).unwrap_or_default() >> 20;
    (storage_mb / PARTS).clamp(16, LARGEST_MB)
}

/// Who is let in: the keys of now and those of before the last rotation.
fn identities(store: &ManagedObjectStore) -> String {
    let credentials = &store.credentials;
    let mut keys = vec![json!({
        "accessKey": credentials.get("access-key-id"), "secretKey": credentials.get("secret-access-key"),
    })];
    if let (Some(id), Some(secret)) = (credentials.previous("access-key-id"), credentials.previous("secret-access-key"))
    {
        keys.push(json!({ "accessKey": id, "secretKey": secret }));
    }
    json!({ "identities": [{
        "name": "imagesearch", "credentials": keys, "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]})
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::volume_size_limit_mb;

    #[test]
    fn a_volume_is_a_64th_of_the_disk_within_limits() {
        for (storage, limit_mb) in [("500Mi", 16), ("2Gi", 32), ("50Gi", 800), ("1Ti", 16_384), ("1Pi", 30_000)] {
            assert_eq!(volume_size_limit_mb(storage), limit_mb, "{storage}");
        }
    }
}
