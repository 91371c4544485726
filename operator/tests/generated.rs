//! What is generated from the code and committed: the definition of the resource, for `kubectl` and in the chart of the operator,
//! the schema by which Helm refuses nonsense in the values of a stack's chart, and the pages of the resource and of metrics.
//! `make generate` writes them.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use operator::crd;
use serde_json::{Map, Value, json};

/// Compares a file with what it should be; writes it first when that is asked for.
fn assert_current(path: &str, current: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&file, current).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == current, "{path} is out of date; run `make generate`");
}

#[test]
fn the_committed_definition_is_the_one_of_the_types() {
    let definition = serde_saphyr::to_string(&crd::definition()).unwrap();
    assert_current("crds/imagesearchstacks.yaml", &definition);
    assert_current("charts/imagesearch-operator/files/imagesearchstacks.yaml", &definition);
}

#[test]
fn the_page_of_the_resource_is_the_one_of_the_types() {
    assert_current("docs/resource.md", &crd::markdown());
}

#[test]
fn the_page_of_metrics_is_the_one_of_the_code() {
    let metrics = [shared::metrics::definitions(), operator::metrics::definitions()].concat();
    assert_current("docs/metrics.md", &shared::metrics::markdown(&metrics));
}

#[test]
fn the_values_of_a_stack_have_the_schema_of_its_spec() {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    let mut spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
    to_json_schema(&mut spec);
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "global": { "type": "object", "description": "Given by Helm when this is a part of another chart." },
            "name": { "type": "string", "maxLength": 63, "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$" },
            "labels": texts,
            "annotations": texts,
            "spec": spec,
        },
    });
    let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    assert_current("charts/imagesearch/values.schema.json", &schema);
}

/// From the dialect of Kubernetes to JSON Schema: unknown fields are refused rather than dropped, `nullable` is a type.
fn to_json_schema(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.retain(|name, _| !name.starts_with("x-kubernetes-") && name != "format");
    if fields.remove("nullable") == Some(json!(true)) {
        let kind = fields.remove("type").unwrap();
        fields.insert("type".into(), json!([kind, "null"]));
        if let Some(values) = fields.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        Map::values_mut(properties).for_each(to_json_schema);
        fields.insert("additionalProperties".into(), json!(false));
    }
    for nested in ["items", "additionalProperties"] {
        fields.get_mut(nested).into_iter().for_each(to_json_schema);
    }
}
