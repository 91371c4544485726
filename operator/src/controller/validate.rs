//! From what was written to what was meant. The API server has refused what schema and rules can refuse; here is what only
//! the cluster knows (a Secret that is named and not there), and what a schema can't read.

mod model;
mod secrets;

use std::{net::IpAddr, sync::Arc, time::Duration};

use kube::{Resource, ResourceExt};
use shared::telemetry::LogFilter;

use super::{
    change,
    credentials::{self, Entry},
    defaults::Defaults,
    error::ReconcileError,
    fetch::Observed,
    model::Plan,
    names::{self, Component},
    progress, quantity,
    stack::{
        Auth, HorizontalScale, HttpRole, Index, Key, ManagedObjectStore, ManagedQueue, ObjectStore, Queue, Repair,
        Replicas, Server, Stack, Tls, Worker, service_host,
    },
    volumes,
};
use crate::{
    autoscaler,
    crd::{self, ImageSearchStack, StoreType},
};

/// The bucket and the first part of names in stores that a stack has for itself.
const OWN: &str = "imagesearch";
pub(crate) const OBJECT_STORE_PORT: u16 = 9000;
pub(crate) const QUEUE_PORT: u16 = 4222;
pub(crate) const INDEX_PORT: u16 = 19530;

/// Something in the spec that can't be done, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) message: String,
    /// It would be all right if something were there that isn't.
    pub(crate) waiting: bool,
}

/// What was meant, or everything that is wrong with it.
///
/// # Errors
/// When no credentials can be made.
pub(crate) fn stack(
    resource: &ImageSearchStack,
    observed: &Observed,
    defaults: &Arc<Defaults>,
) -> Result<Result<Stack, Vec<Fault>>, ReconcileError> {
    let mut reader = Reader { resource, observed, defaults, faults: Vec::new() };
    let stack = reader.stack()?;
    Ok(match stack {
        Some(stack) if reader.faults.is_empty() => Ok(stack),
        _ => Err(reader.faults),
    })
}

struct Reader<'a> {
    resource: &'a ImageSearchStack,
    observed: &'a Observed,
    defaults: &'a Arc<Defaults>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn stack(&mut self) -> Result<Option<Stack>, ReconcileError> {
        let resource = self.resource;
        let spec = &resource.spec;
        let (Some(namespace), Some(owner)) = (resource.namespace(), resource.controller_owner_ref(&())) else {
            return Err(ReconcileError::NoNamespace);
        };
        let plan = Plan::of(resource.status.as_ref().and_then(|status| status.model.as_ref()));
        let (model, facts) = self.model(&plan);
        let max_upload_bytes =
            spec.ingest_api.max_upload_size.as_deref().map(|size| self.bytes("spec.ingestApi.maxUploadSize", size));
        let mut stack = Stack {
            name: resource.name_any(),
            namespace,
            owner,
            retain: spec.deletion_policy == crd::DeletionPolicy::Retain,
            rotation: self.rotation().to_owned(),
            defaults: self.defaults.clone(),
            image: spec.image.clone().unwrap_or_else(|| self.defaults.image.clone()),
            frontend_image: spec.frontend.image.clone().unwrap_or_else(|| self.defaults.frontend_image.clone()),
            pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
            service_account_annotations: spec
                .object_store
                .external
                .as_ref()
                .map(|external| external.service_account_annotations.clone())
                .unwrap_or_default(),
            object_store: self.object_store()?,
            queue: self.queue()?,
            index: self.index(),
            model,
            auth: self.auth()?,
            ingestapi: http_role(&spec.ingest_api.http),
            max_upload_bytes,
            ingestworker: self.worker(),
            searchapi: http_role(&spec.search_api),
            cdnapi: http_role(&spec.cdn_api.http),
            variant_sizes: spec.cdn_api.variant_sizes.clone(),
            frontend: http_role(&spec.frontend.http),
            ingress: self.ingress(),
            repair: self.repair(),
            check_schedule: Some(spec.check.schedule.clone()).filter(|schedule| !schedule.is_empty()),
            check_pod: spec.check.pod.clone(),
            traces: spec.observability.traces.clone(),
            log_filter: self.log_filter(),
            network_policies: spec.network_policy == crd::NetworkPolicyMode::Enforced,
            pod_monitors: spec.observability.pod_monitors == crd::PodMonitors::Auto && self.observed.knows_pod_monitors,
            knows_pod_monitors: self.observed.knows_pod_monitors,
            knows_http_routes: self.observed.knows_http_routes,
        };
        stack.model.steps = change::steps(&stack, &facts, &plan, self.observed);
        Ok(Some(stack))
    }

    /// A Gateway's routes need a cluster that knows them.
    fn ingress(&mut self) -> Option<crd::Ingress> {
        let ingress = self.resource.spec.ingress.clone()?;
        if ingress.r#type == crd::IngressType::Gateway && !self.observed.knows_http_routes {
            self.faults.push(Fault {
                field: "spec.ingress.type".into(),
                message: "this cluster has no HTTPRoutes; install the Gateway API, or use type Ingress".into(),
                waiting: true,
            });
        }
        Some(ingress)
    }

    fn repair(&self) -> Option<Repair> {
        let known = &self.resource.status.as_ref()?.volumes;
        volumes::repair(&self.resource.name_any(), known, self.observed)
    }

    fn rotation(&self) -> &str {
        self.resource.spec.rotate_credentials.as_deref().unwrap_or_default()
    }

    fn object_store(&mut self) -> Result<ObjectStore, ReconcileError> {
        let spec = &self.resource.spec.object_store;
        if let (StoreType::External, Some(external)) = (spec.r#type, &spec.external) {
            let field = "spec.objectStore.external";
            return Ok(ObjectStore {
                endpoint: external.endpoint.clone(),
                region: external.region.clone(),
                bucket: external.bucket.clone(),
                prefix: external.prefix.clone(),
                path_style: external.addressing == crd::Addressing::Path,
                server_side_encryption: external.server_side_encryption.clone(),
                credentials: self.secret(
                    &format!("{field}.credentialsSecretRef"),
                    external.credentials_secret_ref.as_ref(),
                    &[&["access-key-id", "secret-access-key"]],
                ),
                ca: self.secret(&format!("{field}.caSecretRef"), external.ca_secret_ref.as_ref(), &[&["ca.crt"]]),
                managed: None,
            });
        }
        let managed = spec.managed.clone().unwrap_or_default();
        let image = managed.image.unwrap_or_else(|| match managed.engine {
            crd::Engine::MinIO => self.defaults.minio_image.clone(),
            crd::Engine::SeaweedFS => self.defaults.seaweedfs_image.clone(),
        });
        let server = Server {
            image,
            replicas: 1,
            volumes: volumes::plan(&self.child(Component::ObjectStore), &managed.storage, self.observed),
            storage: managed.storage,
            storage_class: managed.storage_class_name,
            pod: managed.pod,
        };
        let credentials = self.generated(
            names::OBJECT_STORE_CREDENTIALS,
            &[
                Entry::rotated("access-key-id", credentials::identifier),
                Entry::rotated("secret-access-key", credentials::password),
            ],
        )?;
        Ok(ObjectStore {
            endpoint: Some(format!("http://{}:{OBJECT_STORE_PORT}", self.host(Component::ObjectStore))),
            region: "us-east-1".into(),
            bucket: OWN.into(),
            prefix: None,
            path_style: true,
            server_side_encryption: None,
            credentials: Some(credentials.clone()),
            ca: None,
            managed: Some(ManagedObjectStore { engine: managed.engine, server, credentials: credentials.entries }),
        })
    }

    fn queue(&mut self) -> Result<Queue, ReconcileError> {
        let spec = &self.resource.spec.queue;
        if let (StoreType::External, Some(external)) = (spec.r#type, &spec.external) {
            let field = "spec.queue.external";
            return Ok(Queue {
                servers: external.url.split(',').map(str::to_owned).collect(),
                name: external.name.clone().unwrap_or_else(|| self.shared_name()),
                replicas: external.replicas.unwrap_or(1),
                max_jobs: spec.max_jobs,
                credentials: self.secret(
                    &format!("{field}.credentialsSecretRef"),
                    external.credentials_secret_ref.as_ref(),
                    &[&["user", "password"], &["token"], &["nats.creds"]],
                ),
                tls: self.tls(&format!("{field}.tls"), external.tls.as_ref()),
                managed: None,
            });
        }
        let managed = spec.managed.clone().unwrap_or_default();
        let server = Server {
            image: managed.image.unwrap_or_else(|| self.defaults.nats_image.clone()),
            replicas: managed.replicas,
            volumes: volumes::plan(&self.child(Component::Queue), &managed.storage, self.observed),
            storage: managed.storage,
            storage_class: managed.storage_class_name,
            pod: managed.pod,
        };
        let credentials = self.generated(
            names::QUEUE_CREDENTIALS,
            &[
                Entry::rotated("user", credentials::identifier),
                Entry::rotated("password", credentials::password),
                Entry::rotated("operator-password", credentials::password),
                // A cluster lets in one user: a server with a new password would not reach those that have not rolled yet,
                // and never be ready, so that they never would.
                Entry::lasting("route-password", credentials::password),
            ],
        )?;
        Ok(Queue {
            servers: vec![format!("nats://{}:{QUEUE_PORT}", self.host(Component::Queue))],
            name: OWN.into(),
            replicas: managed.replicas,
            max_jobs: spec.max_jobs,
            credentials: Some(credentials.clone()),
            tls: Tls::default(),
            managed: Some(ManagedQueue { server, credentials: credentials.entries }),
        })
    }

    fn index(&mut self) -> Index {
        let spec = &self.resource.spec.index;
        if let (StoreType::External, Some(external)) = (spec.r#type, &spec.external) {
            let field = "spec.index.external";
            return Index {
                url: external.url.clone(),
                database: external.database.clone(),
                prefix: external.prefix.clone().unwrap_or_else(|| self.shared_name()),
                credentials: self.secret(
                    &format!("{field}.credentialsSecretRef"),
                    external.credentials_secret_ref.as_ref(),
                    &[&["user", "password"], &["token"]],
                ),
                tls: self.tls(&format!("{field}.tls"), external.tls.as_ref()),
                external: true,
                managed: None,
            };
        }
        let managed = spec.managed.clone().unwrap_or_default();
        let server = Server {
            image: managed.image.unwrap_or_else(|| self.defaults.milvus_image.clone()),
            replicas: 1,
            volumes: volumes::plan(&self.child(Component::Index), &managed.storage, self.observed),
            storage: managed.storage,
            storage_class: managed.storage_class_name,
            pod: managed.pod,
        };
        let may_start = self.observed.stateful_sets.contains_key(&self.child(Component::Index))
            || self.resource.spec.object_store.r#type == StoreType::External
            || progress::is_serving(self.observed.stateful_sets.get(&self.child(Component::ObjectStore)));
        Index {
            url: format!("http://{}:{INDEX_PORT}", self.host(Component::Index)),
            database: "default".into(),
            prefix: OWN.into(),
            credentials: None,
            tls: Tls::default(),
            external: false,
            managed: may_start.then_some(server),
        }
    }

    fn auth(&mut self) -> Result<Auth, ReconcileError> {
        let spec = &self.resource.spec.auth;
        let asks_for_keys = spec.r#type == crd::AuthType::ApiKeys;
        let mut keys = Vec::new();
        if asks_for_keys {
            for key in &spec.keys {
                let source = self.generated(
                    &names::key(&key.name),
                    &[Entry::rotated("key", credentials::api_key), Entry::rotated("created", credentials::now)],
                )?;
                keys.push(Key { name: key.name.clone(), scopes: key.scopes.clone(), entries: source.entries });
            }
        }
        Ok(Auth { asks_for_keys, public_read: spec.reading == crd::Reading::Public, keys })
    }

    fn worker(&mut self) -> Worker {
        let spec = &self.resource.spec.ingest_worker;
        let scaling = &spec.autoscaling;
        let field = "spec.ingestWorker.autoscaling.scaleDownDelay";
        let scale_down_delay = self.duration(field, &scaling.scale_down_delay, "60s");
        for network in spec.allow_networks.iter().filter(|network| !is_network(network)) {
            let message = format!("{network:?} is not a network such as 10.1.0.0/16 or fd00::/8");
            self.fault("spec.ingestWorker.allowNetworks", message);
        }
        Worker {
            scaling: autoscaler::Settings {
                mode: scaling.mode,
                min: scaling.min_replicas,
                max: scaling.max_replicas,
                target_lag_per_replica: scaling.target_lag_per_replica,
                max_scale_up_step: scaling.max_scale_up_step,
                scale_down_delay,
            },
            allow_networks: spec.allow_networks.clone(),
            pod: spec.pod.clone(),
        }
    }

    fn log_filter(&mut self) -> Option<String> {
        let filter = self.resource.spec.observability.log_filter.clone()?;
        if let Err(invalid) = LogFilter::new(&filter) {
            self.fault("spec.observability.logFilter", invalid.to_string());
        }
        Some(filter)
    }

    fn bytes(&mut self, field: &str, text: &str) -> u64 {
        quantity::bytes(text).filter(|bytes| *bytes > 0).unwrap_or_else(|| {
            self.fault(field, format!("{text:?} is not a size such as 50Mi"));
            0
        })
    }

    fn duration(&mut self, field: &str, text: &str, example: &str) -> Duration {
        quantity::duration(text).unwrap_or_else(|| {
            self.fault(field, format!("{text:?} is not a time span such as {example}"));
            Duration::ZERO
        })
    }

    fn fault(&mut self, field: &str, message: String) {
        self.faults.push(Fault { field: field.to_owned(), message, waiting: false });
    }

    fn child(&self, component: Component) -> String {
        names::child(&self.resource.name_any(), component.label())
    }

    fn host(&self, component: Component) -> String {
        service_host(self.defaults, &self.resource.namespace().unwrap_or_default(), &self.child(component))
    }

    /// What this stack's things are called in a store that others use as well. Neither name has an underscore.
    fn shared_name(&self) -> String {
        format!("{}_{}", self.resource.namespace().unwrap_or_default(), self.resource.name_any())
    }
}

fn http_role(role: &crd::HttpRole) -> HttpRole {
    let replicas = role.autoscaling.as_ref().map_or_else(
        || Replicas::Fixed(role.replicas.unwrap_or(1)),
        |scaling| {
            Replicas::ByLoad(HorizontalScale {
                min: scaling.min_replicas,
                max: scaling.max_replicas,
                target_cpu_utilization: scaling.target_cpu_utilization,
            })
        },
    );
    HttpRole { replicas, pod: role.pod.clone() }
}

/// An address with the length of its prefix, as workers read it.
fn is_network(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix.bytes().all(|byte| byte.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
}

/// Which stack needs which Secret, for whoever hears that one changed.
pub(crate) fn needs_secret(stack: &ImageSearchStack, secret: &str) -> bool {
    super::fetch::needed_secrets(stack).iter().any(|name| name == secret)
}
