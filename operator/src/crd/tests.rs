#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::definition;

fn schema() -> Value {
    let definition = serde_json::to_value(definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every field below, with its path.
fn fields(path: &str, schema: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.extend(fields(&path, field));
        found.push((path, field.clone()));
    }
    for nested in ["items", "additionalProperties"] {
        found.extend(schema.get(nested).map(|nested| fields(path, nested)).unwrap_or_default());
    }
    found
}

fn field(path: &str) -> Value {
    fields("", &schema()).into_iter().find(|(found, _)| found == path).unwrap_or_else(|| panic!("no {path}")).1
}

/// The messages that a value is refused with.
fn refusals(schema: &Value) -> Vec<&str> {
    schema["x-kubernetes-validations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["message"].as_str().unwrap())
        .collect()
}

#[test]
fn every_field_is_explained() {
    let all = fields("", &schema());
    assert!(all.len() > 300, "only {} fields are walked", all.len());
    let unexplained: Vec<&String> = all
        .iter()
        .filter(|(_, field)| field["description"].as_str().is_none_or(|text| text.trim().is_empty()))
        .map(|(path, _)| path)
        .collect();
    assert!(unexplained.is_empty(), "`kubectl explain` says nothing of {unexplained:?}");
}

#[test]
fn every_rule_has_a_sentence() {
    let all = fields("", &schema());
    let rules = all.iter().flat_map(|(path, field)| {
        let rules = field["x-kubernetes-validations"].as_array().cloned().unwrap_or_default();
        rules.into_iter().map(move |rule| (path, rule))
    });
    let silent: Vec<_> = rules.filter(|(_, rule)| rule["message"].as_str().is_none()).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// A server that was alone takes its streams for orphans when it finds itself in a cluster, and deletes them.
#[test]
fn the_number_of_queue_servers_never_changes() {
    let queue = field(".spec.queue");
    assert!(refusals(&queue).iter().any(|message| message.starts_with("managed.replicas can't be changed: ")));
    // What is left out is one server, before and after.
    let rules = queue["x-kubernetes-validations"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["message"].as_str().unwrap().starts_with("managed.replicas")).unwrap();
    assert_eq!(
        rule["rule"],
        "(has(self.managed) ? self.managed.replicas : 1) == (has(oldSelf.managed) ? oldSelf.managed.replicas : 1)"
    );
}

#[test]
fn what_pods_would_not_start_with_is_refused_at_once() {
    assert_eq!(refusals(&field(".spec.cdnApi.variantSizes")), ["sizes must be ascending, none twice"]);
    assert_eq!(field(".spec.cdnApi.variantSizes")["items"]["minimum"].as_f64(), Some(1.0));
    assert_eq!(
        refusals(&field(".spec.ingestWorker.allowNetworks")),
        ["each must be a network such as 10.1.0.0/16 or fd00::/8"]
    );
    assert_eq!(refusals(&field(".spec.model.sha256")).first(), Some(&"each checksum must be 64 hexadecimal digits"));
    for (name, known) in
        [("operator", json!(["Exists", "Equal"])), ("effect", json!(["NoSchedule", "PreferNoSchedule", "NoExecute"]))]
    {
        assert_eq!(field(&format!(".spec.searchApi.tolerations.{name}"))["enum"], known);
    }
}

/// Rules that belong to a part come along where it is taken into another one.
#[test]
fn a_rule_of_one_field_leaves_those_of_the_whole() {
    assert_eq!(refusals(&field(".spec.cdnApi")), ["replicas and autoscaling exclude each other"]);
    assert_eq!(
        refusals(&field(".spec.model")),
        ["tokenSecretRef is for models that are fetched, and the bundled one is not"]
    );
}
