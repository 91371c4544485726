//! A reconcile is a trace, on a real Jaeger.

use serde_json::json;

use super::{
    process::{Operator, until},
    world::{DEADLINE, World},
};

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_reconcile_is_a_trace_with_its_steps() {
    let world = World::start().await;
    let jaeger = servers::jaeger().await;
    let endpoint = jaeger.grpc();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let _operator = Operator::with(&world, &variables);
    world.apply("photos", Some(json!({}))).await.unwrap();
    let trace = until(DEADLINE, "a reconcile has come to its end", async || {
        let found = jaeger.find("imagesearch-operator", "reconcile").await;
        found.into_iter().find(|trace| trace.spans.iter().any(|span| span.name == "status"))
    })
    .await;
    let reconcile = trace.span("reconcile");
    assert_eq!(reconcile.parent, None);
    for (attribute, value) in [
        ("imagesearch.stack", "photos"),
        ("k8s.namespace.name", world.namespace.as_str()),
        ("imagesearch.outcome", "ok"),
    ] {
        assert_eq!(reconcile.attributes[attribute], value, "{attribute}");
    }
    for step in ["fetch", "apply", "status"] {
        assert_eq!(trace.span(step).parent.as_ref(), Some(&reconcile.id), "{step}");
    }
}
