//! The chart for monitoring beside a stack, on real pods: of its programs, Prometheus alone is the real one
//! (tests/cluster/monitoring).

use serde_json::{Value, json};

use super::stack::{self, Forward, Stack, apply_stack, kubectl, spec, until, until_ready};

const MONITORING: &str = "imagesearch-e2e-monitoring";
const PROMETHEUS_PORT: u16 = 3941;
const TRACES_PORT: u16 = 3942;
const PAGE_PORT: u16 = 3943;
const ROLES: [&str; 4] = ["ingestapi", "ingestworker", "searchapi", "cdnapi"];

/// Installs the chart, and asks what of it runs what it was told.
pub(crate) async fn rules_are_loaded_and_every_role_is_heard() {
    let stack = Stack::ready().await;
    stack::apply_namespace(MONITORING);
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/observability");
    let little = ["grafana", "loki", "tempo", "prometheus", "alloy"]
        .map(|part| format!("{part}.resources.requests.cpu=10m,{part}.resources.requests.memory=32Mi"))
        .join(",");
    let how = ["--namespace", MONITORING, "--wait", "--timeout", "5m", "--set", &little];
    stack::helm(&[&["install", "observability", chart], &how[..]].concat());
    the_rules_are_loaded(&stack).await;

    let mut traced = spec();
    let endpoint = format!("http://observability-alloy.{MONITORING}:4317");
    traced["observability"] = json!({ "traces": { "endpoint": endpoint, "sampleRatio": "1" } });
    apply_stack(&traced);
    until_ready().await;
    let _traces = Forward::to(MONITORING, "daemonset/observability-alloy", TRACES_PORT, 16686);
    let castle = super::promises::photo("neuschwansteinCastle.jpg");
    let id = stack.upload("neuschwansteinCastle.jpg", [&castle[..], b"traced"].concat()).await;
    until("every role has told something", async || {
        // Each of them has something to tell.
        let _ = stack.search("a castle").await;
        let _ = stack.http.get(stack.url(&format!("/images/{id}"))).send().await;
        let told = json_of(&stack, TRACES_PORT, "/api/services").await?["data"].as_array()?.clone();
        let is_told = |role: &&str| told.iter().any(|service| service == &format!("imagesearch-{role}"));
        ROLES.iter().all(is_told).then_some(())
    })
    .await;

    {
        let _page = Forward::to(stack::NAMESPACE, "deployment/photos-frontend", PAGE_PORT, 9090);
        until("the page's server tells its metrics", async || {
            let told =
                stack.http.get(format!("http://127.0.0.1:{PAGE_PORT}/metrics")).send().await.ok()?.text().await.ok()?;
            told.contains("\nnginx_connections_active ").then_some(())
        })
        .await;
    }
    apply_stack(&spec());
    until_ready().await;
    stack::helm(&["uninstall", "observability", "--namespace", MONITORING, "--wait"]);
    kubectl(&["delete", "namespace", MONITORING, "--wait=true", "--timeout=180s"]);
}

async fn the_rules_are_loaded(stack: &Stack) {
    let _prometheus = Forward::to(MONITORING, "statefulset/observability-prometheus", PROMETHEUS_PORT, 9090);
    let rules = until("Prometheus tells its rules", async || {
        json_of(stack, PROMETHEUS_PORT, "/api/v1/rules").await?["data"]["groups"].as_array().cloned()
    })
    .await;
    let alerts = rules.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
    assert!(alerts.clone().any(|rule| rule["name"] == "ImageSearchTargetDown"), "{rules:?}");
    assert!(alerts.clone().all(|rule| rule["lastError"].as_str().unwrap_or_default().is_empty()), "{rules:?}");
}

async fn json_of(stack: &Stack, port: u16, path: &str) -> Option<Value> {
    stack.http.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?.json().await.ok()
}
