//! Network policies: nothing comes in or goes out but what a component needs. Addresses of stores that somebody else runs
//! aren't known as pods, so their ports are opened to any address.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use url::Url;

use super::{cdnapi, frontend, ingestapi, meta, pod::ADMIN_PORT, searchapi, settings};
use crate::controller::{
    names::{self, Component},
    stack::Stack,
    validate::{INDEX_PORT, OBJECT_STORE_PORT, QUEUE_PORT},
};

/// Pods with this label, set to the name of a stack, may talk to its services, from any namespace.
pub(crate) const CLIENT_LABEL: &str = "imagesearch.dev/client";
const OPERATOR: (&str, &str) = ("app.kubernetes.io/name", "imagesearch-operator");
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
const ROUTE_PORT: u16 = 6222;

/// Networks that are not the internet (RFC 6890 and what clouds keep there).
const PRIVATE_V4: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "240.0.0.0/4",
];
const PRIVATE_V6: [&str; 4] = ["::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10"];

/// Everybody whose traffic is known: the order doesn't matter, policies add up. Of a model that leaves the policies stay as long
/// as its pods may: they finish what they have begun.
fn components(stack: &Stack) -> Vec<Component> {
    use Component::{CdnApi, Check, Frontend, Index, IngestApi, Model, ModelChange, ObjectStore, Queue};
    let slots = stack.slots();
    let first = [ObjectStore, Queue, Index, Model, Check, IngestApi];
    let change = stack.model.plan.beside.is_some().then_some(ModelChange);
    first
        .into_iter()
        .chain(slots.iter().map(|slot| Component::ingestworker(*slot)))
        .chain(slots.iter().map(|slot| Component::searchapi(*slot)))
        .chain([CdnApi, Frontend])
        .chain(change)
        .collect()
}

pub(crate) fn build(stack: &Stack) -> Vec<NetworkPolicy> {
    if !stack.network_policies {
        return Vec::new();
    }
    let components = components(stack).into_iter().map(|component| policy(stack, component));
    std::iter::once(deny_all(stack)).chain(components).collect()
}

/// For every pod of the stack: what no other policy allows is refused.
fn deny_all(stack: &Stack) -> NetworkPolicy {
    let labels = [("app.kubernetes.io/name", "imagesearch"), (names::INSTANCE_LABEL, stack.name.as_str())];
    NetworkPolicy {
        metadata: meta::owned_as(stack, Component::Stack, stack.child_named("deny-all")),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(&labels)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn policy(stack: &Stack, component: Component) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::owned(stack, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names::selector(&stack.name, component)),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            // An empty list would come back as none, and be written again each time.
            ingress: Some(ingress(stack, component)).filter(|rules| !rules.is_empty()),
            egress: Some(egress(stack, component)),
        }),
    }
}

fn ingress(stack: &Stack, component: Component) -> Vec<NetworkPolicyIngressRule> {
    let from = |peers: Vec<NetworkPolicyPeer>, ports: &[u16]| NetworkPolicyIngressRule {
        from: Some(peers).filter(|peers| !peers.is_empty()),
        ports: Some(ports.iter().map(|port| tcp(*port)).collect()),
    };
    let needing = |needed: fn(settings::Needs) -> bool| {
        let peers = components(stack).into_iter().filter(|peer| needed(settings::needs(*peer)));
        peers.map(|peer| pods_of(stack, peer)).collect()
    };
    // Metrics are read by whoever reads them; nothing can be changed there.
    let metrics = from(vec![any_namespace()], &[ADMIN_PORT]);
    let requests = |port: u16| from(vec![pods_of(stack, Component::Frontend), clients(stack)], &[port]);
    match component {
        Component::ObjectStore => vec![from(needing(|needs| needs.objects), &[OBJECT_STORE_PORT])],
        Component::Index => vec![from(needing(|needs| needs.index), &[INDEX_PORT])],
        Component::Queue => {
            let mut peers: Vec<NetworkPolicyPeer> = needing(|needs| needs.queue);
            peers.push(operator(stack));
            vec![from(peers, &[QUEUE_PORT]), from(vec![pods_of(stack, Component::Queue)], &[ROUTE_PORT])]
        }
        Component::IngestApi => vec![requests(ingestapi::PORT), metrics],
        Component::SearchApi | Component::SearchApiB => vec![requests(searchapi::PORT), metrics],
        Component::CdnApi => vec![requests(cdnapi::PORT), metrics],
        Component::IngestWorker | Component::IngestWorkerB => vec![metrics],
        // Whoever can reach the page may: it is what people see.
        Component::Frontend => vec![from(Vec::new(), &[frontend::PORT]), metrics],
        Component::Model | Component::Check | Component::ModelChange | Component::Stack => Vec::new(),
    }
}

fn egress(stack: &Stack, component: Component) -> Vec<NetworkPolicyEgressRule> {
    let needs = settings::needs(component);
    let mut rules = vec![dns()];
    if needs.objects {
        let managed = stack.object_store.managed.is_some();
        let urls = [stack.object_store.endpoint.as_deref().unwrap_or("https://s3.amazonaws.com")];
        rules.push(store(stack, managed.then_some(Component::ObjectStore), &urls));
    }
    if needs.queue {
        let urls: Vec<&str> = stack.queue.servers.iter().map(String::as_str).collect();
        rules.push(store(stack, stack.queue.managed.as_ref().map(|_| Component::Queue), &urls));
    }
    if needs.index {
        rules.push(store(stack, (!stack.index.external).then_some(Component::Index), &[stack.index.url.as_str()]));
    }
    if needs.internet {
        rules.push(internet());
        let is_worker = matches!(component, Component::IngestWorker | Component::IngestWorkerB);
        if is_worker && !stack.ingestworker.allow_networks.is_empty() {
            rules.push(to(stack.ingestworker.allow_networks.iter().map(|network| block(network, &[])).collect(), &[]));
        }
    }
    if component == Component::Queue {
        rules.push(to(vec![pods_of(stack, Component::Queue)], &[ROUTE_PORT]));
    }
    if component == Component::Frontend {
        rules.push(to(vec![pods_of(stack, Component::IngestApi)], &[ingestapi::PORT]));
        for slot in stack.slots() {
            rules.push(to(vec![pods_of(stack, Component::searchapi(slot))], &[searchapi::PORT]));
        }
        rules.push(to(vec![pods_of(stack, Component::CdnApi)], &[cdnapi::PORT]));
    }
    if let Some(traces) = stack.traces.as_ref().filter(|_| component != Component::Frontend) {
        rules.push(to(Vec::new(), &[port_of(&traces.endpoint).unwrap_or(4317)]));
    }
    rules
}

/// A store of the stack's own by its pods, somebody else's by its ports.
fn store(stack: &Stack, own: Option<Component>, urls: &[&str]) -> NetworkPolicyEgressRule {
    let ports: Vec<u16> = urls.iter().filter_map(|url| port_of(url)).collect();
    match own {
        Some(component) => to(vec![pods_of(stack, component)], &ports),
        None => to(Vec::new(), &ports),
    }
}

fn port_of(url: &str) -> Option<u16> {
    let url = Url::parse(url).ok()?;
    url.port_or_known_default().or(match url.scheme() {
        "nats" | "tls" => Some(QUEUE_PORT),
        _ => None,
    })
}

/// Names are asked for wherever the cluster has its name server.
fn dns() -> NetworkPolicyEgressRule {
    let port = |protocol: &str| NetworkPolicyPort { protocol: Some(protocol.to_owned()), ..tcp(53) };
    NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP"), port("TCP")]) }
}

fn internet() -> NetworkPolicyEgressRule {
    to(vec![block("0.0.0.0/0", &PRIVATE_V4), block("::/0", &PRIVATE_V6)], &[])
}

fn to(peers: Vec<NetworkPolicyPeer>, ports: &[u16]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(peers).filter(|peers| !peers.is_empty()),
        ports: Some(ports.iter().map(|port| tcp(*port)).collect()).filter(|ports: &Vec<_>| !ports.is_empty()),
    }
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some("TCP".into()),
        port: Some(IntOrString::Int(port.into())),
        ..NetworkPolicyPort::default()
    }
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except =
        Some(except.iter().map(|cidr| (*cidr).to_owned()).collect()).filter(|except: &Vec<_>| !except.is_empty());
    NetworkPolicyPeer { ip_block: Some(IPBlock { cidr: cidr.to_owned(), except }), ..NetworkPolicyPeer::default() }
}

fn pods_of(stack: &Stack, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(names::selector(&stack.name, component)), ..NetworkPolicyPeer::default() }
}

/// Whoever carries the stack's name on a label of clients, in any namespace.
fn clients(stack: &Stack) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(selector(&[(CLIENT_LABEL, stack.name.as_str())])),
        ..NetworkPolicyPeer::default()
    }
}

fn any_namespace() -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }
}

fn operator(stack: &Stack) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(selector(&[(NAMESPACE_LABEL, stack.defaults.namespace.as_str())])),
        pod_selector: Some(selector(&[OPERATOR])),
        ..NetworkPolicyPeer::default()
    }
}

fn selector(labels: &[(&str, &str)]) -> LabelSelector {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
