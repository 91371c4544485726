//! The page on nginx, which brings the services under its own address.

use std::collections::BTreeMap;

use super::{
    cdnapi,
    http::{self, HttpObjects},
    ingestapi,
    pod::{self, Mounts, Parts, Probes, variable_of},
    searchapi,
};
use crate::controller::{names::Component, stack::Stack};

pub(crate) const PORT: u16 = 3000;

pub(crate) fn build(stack: &Stack) -> HttpObjects {
    let role = &stack.frontend;
    // nginx looks names up by itself and knows nothing of search domains.
    let url = |component, port: u16| format!("http://{}:{port}", stack.host(component));
    let template = pod::template(
        stack,
        Parts {
            component: Component::Frontend,
            image: stack.frontend_image.clone(),
            command: None,
            args: Vec::new(),
            env: vec![
                variable_of("INGESTAPI_URL", &url(Component::IngestApi, ingestapi::PORT)),
                variable_of("SEARCHAPI_URL", &url(Component::SearchApi, searchapi::PORT)),
                variable_of("CDNAPI_URL", &url(Component::CdnApi, cdnapi::PORT)),
            ],
            ports: vec![("http", PORT), ("admin", pod::ADMIN_PORT)],
            mounts: Mounts::default().scratch("tmp", "/tmp", "64Mi"),
            probes: Probes {
                startup: Some(pod::http_probe("/healthz", PORT, 1, 30)),
                liveness: Some(pod::http_probe("/healthz", PORT, 10, 3)),
                readiness: Some(pod::http_probe("/healthz", PORT, 2, 3)),
            },
            resources: pod::resources("10m", "24Mi", "128Mi"),
            wishes: &role.pod,
            annotations: BTreeMap::new(),
            service_account: stack.child_named("roles"),
            grace_s: pod::PRE_STOP_S + 30,
            pre_stop: true,
        },
    );
    http::objects(stack, Component::Frontend, PORT, role, template)
}
