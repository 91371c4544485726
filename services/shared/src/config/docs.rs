//! docs/configuration.md, generated from the types.

use std::fmt::Write;

use serde_json::Value;

use super::{
    Config,
    schema::{self, Key},
};

const HEAD: &str = "# Configuration

<!-- Generated from services/shared/src/config; `make generate` writes it anew. -->

A role reads its defaults, then one YAML file (`--config FILE`, else `conf/<role>.yaml` if it is there), then environment
variables, each over the one before. `imagesearch config` prints what comes out, secrets hidden.

A variable is named after its key: `queue.max_jobs` is `IMAGESEARCH_QUEUE__MAX_JOBS`. Lists are separated by commas. Any
text can come from a file instead, which is meant for secrets: `IMAGESEARCH_MODEL__TOKEN_FILE=/run/secrets/token`.
An unknown key or a value that can't be used is refused before anything starts.
";

/// The reference of every key, as Markdown.
pub fn markdown() -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut text = HEAD.to_owned();
    let mut section = None;
    for key in schema::keys() {
        let this = key.path.split_once('.').map_or("", |(section, _)| section);
        if section != Some(this) {
            let title = if this.is_empty() { "(top level)" } else { this };
            // Writing into a String can't fail.
            let _ = write!(text, "\n## {title}\n\n| key | default | meaning |\n|---|---|---|\n");
            section = Some(this);
        }
        let _ = writeln!(text, "| `{}` | {} | {} |", key.path, default_of(&defaults, key), key.description);
    }
    text
}

fn default_of(defaults: &Value, key: &Key) -> String {
    let value = key.path.split('.').try_fold(defaults, |tree, name| tree.get(name));
    match value.or(key.default.as_ref()) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}
