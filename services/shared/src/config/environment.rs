//! `IMAGESEARCH_QUEUE__MAX_JOBS=1000` sets `queue.max_jobs`.

use std::{collections::BTreeMap, ffi::OsString};

use serde_json::Value;

use super::{
    error::{ConfigProblem, Origin},
    schema::{self, Key, Kind},
};

const PREFIX: &str = "IMAGESEARCH_";
const FILE_SUFFIX: &str = "_file";

/// Variables with our prefix that belong to the command line, the recipes or the tests and are no configuration.
const OTHER_VARIABLES: [&str; 6] = [
    "IMAGESEARCH_API_KEY",
    "IMAGESEARCH_API_KEY_FILE",
    "IMAGESEARCH_BIN",
    "IMAGESEARCH_CACHE",
    "IMAGESEARCH_SERVER",
    "IMAGESEARCH_URL",
];

/// What everybody who fetches from a model hub sets already; our own variable for the same wins.
const HUB_VARIABLES: [(&str, &str); 2] = [("HF_ENDPOINT", "model.hub_endpoint"), ("HF_TOKEN", "model.token")];

/// Values by path, and what was wrong with the rest.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (BTreeMap<&'static str, Value>, Vec<ConfigProblem>) {
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    let mut of_hub = BTreeMap::new();
    for (name, text) in variables {
        // A process inherits variables that it knows nothing of: those may hold any bytes.
        let (name, is_text) = (name.to_string_lossy().into_owned(), name.to_str().is_some());
        let is_hub = HUB_VARIABLES.iter().any(|(variable, _)| *variable == name);
        if !is_hub && path_of(&name).is_none() {
            continue;
        }
        let Some(text) = text.into_string().ok().filter(|_| is_text) else {
            problems.push(ConfigProblem::NotText { variable: name });
            continue;
        };
        if let Some((_, path)) = HUB_VARIABLES.iter().find(|(variable, _)| *variable == name)
            && !text.is_empty()
        {
            of_hub.insert(*path, Value::from(text));
            continue;
        }
        let Some(path) = path_of(&name) else { continue };
        match value_of(&name, &path, &text) {
            Ok(Some((key, value))) => {
                if values.insert(key.path.as_str(), value).is_some() {
                    let variable = format!("{PREFIX}{}", key.path.replace('.', "__").to_uppercase());
                    problems.push(ConfigProblem::SetTwice { variable });
                }
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    of_hub.extend(values);
    (of_hub, problems)
}

/// `IMAGESEARCH_A__B` → `a.b`; nothing for variables that aren't ours.
fn path_of(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix(PREFIX)?;
    if OTHER_VARIABLES.contains(&upper.as_str()) || is_service_link(rest) {
        return None;
    }
    Some(rest.to_ascii_lowercase().replace("__", "."))
}

/// Kubernetes puts `IMAGESEARCH_SEARCHAPI_SERVICE_HOST` and the like into every pod beside a service whose name begins
/// with ours. They would all be unknown keys.
fn is_service_link(rest: &str) -> bool {
    let port = |rest: &str| {
        let (_, after) = rest.split_once("PORT")?;
        Some(after.is_empty() || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| after.contains(protocol)))
    };
    !rest.contains("__")
        && (rest.ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT") || port(rest).unwrap_or(false))
}

fn value_of(name: &str, path: &str, text: &str) -> Result<Option<(&'static Key, Value)>, ConfigProblem> {
    if let Some(key) = schema::find(path) {
        // What a template leaves when it has nothing to put in.
        if text.is_empty() && key.optional {
            return Ok(None);
        }
        return convert(key, text).map(|value| Some((key, value)));
    }
    let file = path.strip_suffix(FILE_SUFFIX).and_then(schema::find).filter(|key| key.kind == Kind::Text);
    if let Some(key) = file {
        let text = std::fs::read_to_string(text).map_err(|fault| ConfigProblem::SecretFile {
            variable: name.to_owned(),
            path: text.to_owned(),
            reason: fault.to_string(),
        })?;
        // Editors and `echo` end a file with a line break that is no part of the secret.
        return Ok(Some((key, Value::from(text.trim_end_matches(['\n', '\r'])))));
    }
    Err(ConfigProblem::UnknownKey {
        origin: Origin::Variable(name.to_owned()),
        key: path.to_owned(),
        nearest: schema::nearest(path).to_owned(),
    })
}

fn convert(key: &Key, text: &str) -> Result<Value, ConfigProblem> {
    let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    match key.kind {
        Kind::Text => Ok(Value::from(text)),
        Kind::Number => number(key, text),
        Kind::Boolean => text.trim().parse::<bool>().map(Value::from).map_err(|_| unfit(key, text, "true or false")),
        Kind::TextList => Ok(items().map(Value::from).collect()),
        Kind::NumberList => items().map(|item| number(key, item)).collect(),
    }
}

fn number(key: &Key, text: &str) -> Result<Value, ConfigProblem> {
    text.trim().parse::<serde_json::Number>().map(Value::Number).map_err(|_| unfit(key, text, "a number"))
}

fn unfit(key: &Key, text: &str, expected: &str) -> ConfigProblem {
    ConfigProblem::Value { key: key.path.clone(), reason: format!("expected {expected}, found {text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_of_kubernetes_are_no_settings() {
        for link in [
            "IMAGESEARCH_SEARCHAPI_SERVICE_HOST",
            "IMAGESEARCH_SERVICE_PORT_HTTP",
            "IMAGESEARCH_PORT",
            "IMAGESEARCH_CDNAPI_PORT_8002_TCP_ADDR",
        ] {
            assert_eq!(path_of(link), None, "{link}");
        }
        assert_eq!(path_of("IMAGESEARCH_SEARCHAPI__PORT").as_deref(), Some("searchapi.port"));
        assert_eq!(path_of("HOME"), None);
    }
}
