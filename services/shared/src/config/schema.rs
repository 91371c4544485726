//! The keys that exist, read from the types: what can be set, of which kind, and what it means.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// One key that can be set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    /// `ingestworker.fetch.timeout_ms`
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Absent is a value of it.
    pub(super) optional: bool,
    /// What holds within its adapter when it isn't set.
    pub(super) default: Option<Value>,
    pub(super) description: String,
}

/// How a variable's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    TextList,
    NumberList,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    let mut keys = Vec::new();
    collect("", &schema, &mut keys);
    keys
});

/// Every key, in the order of the types.
pub(super) fn keys() -> &'static [Key] {
    &KEYS
}

pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The key that was most likely meant: near as a whole, or the same name in another section.
pub(super) fn nearest(path: &str) -> &'static str {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &Key| {
        let whole = strsim::normalized_damerau_levenshtein(path, &key.path);
        let name = strsim::normalized_damerau_levenshtein(&last(path), &last(&key.path));
        whole.max(name * 0.9)
    };
    let best = KEYS.iter().max_by(|left, right| likeness(left).total_cmp(&likeness(right)));
    best.map_or("", |key| key.path.as_str())
}

fn collect(prefix: &str, schema: &Value, keys: &mut Vec<Key>) {
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    for properties in std::iter::once(schema).chain(variants).filter_map(|schema| schema["properties"].as_object()) {
        for (name, property) in properties {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let section = property["properties"].is_object() || property["oneOf"][0]["properties"].is_object();
            if section {
                collect(&path, property, keys);
            } else if !keys.iter().any(|key| key.path == path) {
                keys.push(leaf(path, schema, property));
            }
        }
    }
}

fn leaf(path: String, section: &Value, property: &Value) -> Key {
    let kinds: Vec<&str> = match &property["type"] {
        Value::String(kind) => vec![kind],
        kinds => kinds.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let kind = match kinds.first() {
        Some(&"integer" | &"number") => Kind::Number,
        Some(&"boolean") => Kind::Boolean,
        Some(&"array") if property["items"]["type"] == "integer" => Kind::NumberList,
        Some(&"array") => Kind::TextList,
        _ => Kind::Text,
    };
    let description = match property["description"].as_str() {
        Some(description) => description.replace('\n', " "),
        // The tag of an enum that says which adapter is used.
        None => tags(section).join("; "),
    };
    let default = property.get("default").cloned();
    Key { path, kind, optional: kinds.contains(&"null"), default, description }
}

fn tags(section: &Value) -> Vec<String> {
    let variants = section["oneOf"].as_array().into_iter().flatten();
    variants
        .filter_map(|variant| {
            let tag = variant["properties"]["type"]["const"].as_str()?;
            let meaning = variant["description"].as_str().unwrap_or_default().trim_end_matches('.');
            Some(format!("`{tag}`: {meaning}"))
        })
        .collect()
}
