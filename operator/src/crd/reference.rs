//! docs/resource.md, generated from the definition: every field of a stack and of its status, by part, and every rule that a
//! schema can't express. What may be said of any pod stands once.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::definition;

const HEAD: &str = "# The resource

<!-- Generated from operator/src/crd; `make generate` writes it anew. -->

Every field of `ImageSearchStack`, short `iss`. [On Kubernetes](operator.md) tells what becomes of a stack, [samples](samples) has
whole ones, and `kubectl explain iss.spec` says on a cluster what this page says. A field has its default when it is left out;
where there is none (–) its text says what happens. `[]` is each entry of a list. What is required in the status is always there.
";

const PODS_HEAD: &str = "
## Pods

What may be said of the pods of any part; where a part has these fields, its table says so.

";

/// The rows of a table, and the rules that hold for its fields.
struct Part<'a> {
    /// The fields of any pod, which are left out where all of them are.
    pod: &'a Map<String, Value>,
    rows: String,
    rules: String,
}

/// The reference of the resource, as Markdown.
pub fn markdown() -> String {
    let definition = serde_json::to_value(definition()).unwrap_or_default();
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let [spec, status] = ["spec", "status"].map(|name| &schema["properties"][name]);
    let nothing = Map::new();
    // A part whose fields are those of any pod and no others.
    let any_pod = &spec["properties"]["model"]["properties"]["fetch"];
    let pod = properties(any_pod).unwrap_or(&nothing);

    let mut whole = Part::of(pod);
    whole.add_rules("", schema);
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let mut text = format!(
        "{HEAD}\n```yaml\napiVersion: {group}/{}\nkind: ImageSearchStack\nmetadata:\n  name: photos\nspec: {{}}\n```\n{}",
        version["name"].as_str().unwrap_or_default(),
        whole.rules()
    );
    sections(&mut text, "spec", spec, pod);
    sections(&mut text, "status", status, pod);
    let mut pods = Part::of(&nothing);
    pods.add_fields("", any_pod);
    text + PODS_HEAD + &pods.table() + &pods.rules()
}

/// A table that names the parts, and one for each of them.
fn sections(text: &mut String, title: &str, schema: &Value, pod: &Map<String, Value>) {
    let (mut overview, mut parts) = (Part::of(pod), String::new());
    for (name, field) in properties(schema).into_iter().flatten() {
        if properties(field).is_none() {
            overview.add_field("", name, field, is_required(schema, name));
            continue;
        }
        let title = format!("{title}.{name}");
        overview.add_row(name, "object", "–", "", &format!("{} [More](#{})", cell(field), anchor(&title)));
        let mut part = Part::of(pod);
        part.add_fields("", field);
        part.add_rules("", field);
        part.write(&mut parts, &title);
    }
    overview.add_rules("", schema);
    overview.write(text, title);
    text.push_str(&parts);
}

impl<'a> Part<'a> {
    fn of(pod: &'a Map<String, Value>) -> Self {
        Self { pod, rows: String::new(), rules: String::new() }
    }

    /// Everything below a field, however deep.
    fn add_fields(&mut self, path: &str, schema: &Value) {
        let Some(fields) = properties(schema) else { return };
        let is_pod = !self.pod.is_empty() && self.pod.iter().all(|(name, field)| fields.get(name) == Some(field));
        for (name, field) in fields {
            if !is_pod || !self.pod.contains_key(name) {
                self.add_field(path, name, field, is_required(schema, name));
            }
        }
        if is_pod {
            self.add_row(&join(path, "…"), "", "", "", "And all fields of [pods](#pods).");
        }
    }

    fn add_field(&mut self, path: &str, name: &str, field: &Value, required: bool) {
        let path = join(path, name);
        let default = match &field["default"] {
            _ if required => "**required**".to_owned(),
            // Those of its fields stand in rows of their own.
            Value::Null | Value::Object(_) => "–".to_owned(),
            Value::String(text) => format!("`{text:?}`"),
            value => format!("`{value}`"),
        };
        self.add_row(&path, &kind(field), &default, &limits(field).replace('|', "\\|"), &cell(field));
        self.add_rules(&path, field);
        self.add_fields(&path, field);
        for (nested, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
            self.add_fields(&format!("{path}{suffix}"), &field[nested]);
        }
    }

    fn add_row(&mut self, path: &str, kind: &str, default: &str, limits: &str, meaning: &str) {
        // Writing into a String can't fail.
        let _ = writeln!(self.rows, "| `{path}` | {kind} | {default} | {limits} | {meaning} |");
    }

    fn add_rules(&mut self, path: &str, schema: &Value) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let [message, condition] = ["message", "rule"].map(|name| rule[name].as_str().unwrap_or_default());
            let of = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
            let _ = writeln!(self.rules, "- {of}{message}\n  `{condition}`");
        }
    }

    fn table(&self) -> String {
        format!("| field | type | default | values | meaning |\n|---|---|---|---|---|\n{}", self.rows)
    }

    fn rules(&self) -> String {
        if self.rules.is_empty() {
            String::new()
        } else {
            format!("\nRefused where this doesn't hold:\n\n{}", self.rules)
        }
    }

    fn write(&self, text: &mut String, title: &str) {
        let _ = write!(text, "\n## {title}\n\n{}{}", self.table(), self.rules());
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|required| required == name)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// As code hosts make them of headings.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace('.', "")
}

/// The description, fit for a table.
fn cell(field: &Value) -> String {
    field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn kind(field: &Value) -> String {
    if field["items"].is_object() {
        return format!("list of {}", kind(&field["items"]));
    }
    if field["additionalProperties"].is_object() {
        return format!("map of {}", kind(&field["additionalProperties"]));
    }
    let format = field["format"].as_str().filter(|format| *format == "date-time");
    format.or(field["type"].as_str()).unwrap_or_default().to_owned()
}

/// What the schema says of values.
fn limits(field: &Value) -> String {
    let mut said = Vec::new();
    let values: Vec<String> = field["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(|value| format!("`{value}`")))
        .collect();
    if !values.is_empty() {
        said.push(values.join(", "));
    }
    for (bound, of) in [("imum", ""), ("Length", "length "), ("Items", "entries "), ("Properties", "entries ")] {
        let [least, most] = ["min", "max"].map(|end| field[format!("{end}{bound}")].as_f64());
        match (least, most) {
            (Some(least), Some(most)) => said.push(format!("{of}{least} to {most}")),
            (Some(least), None) => said.push(format!("{of}at least {least}")),
            (None, Some(most)) => said.push(format!("{of}at most {most}")),
            (None, None) => {}
        }
    }
    said.extend(field["pattern"].as_str().map(|pattern| format!("`{pattern}`")));
    for nested in ["items", "additionalProperties"] {
        let limits = field.get(nested).map(limits).filter(|limits| !limits.is_empty());
        said.extend(limits.map(|limits| format!("each {limits}")));
    }
    said.join("; ")
}
