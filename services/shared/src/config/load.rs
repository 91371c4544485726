//! Layers put on top of each other, then checked as a whole.

use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::{
    Config, environment,
    error::{ConfigError, ConfigProblem, Origin},
    schema, validate,
};

/// Where the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It has to be there: the user named it.
    File(Utf8PathBuf),
    /// `conf/<role>.yaml` below the working directory, if it is there.
    Role(&'static str),
}

/// Reads the configuration of a role. Nothing else in the program looks at the environment.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(source: &Source, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Config, ConfigError> {
    let (mut tree, mut problems) = match source {
        Source::File(path) => read_file(path)?,
        Source::Role(role) => {
            let path = Utf8PathBuf::from(format!("conf/{role}.yaml"));
            if path.exists() { read_file(&path)? } else { Default::default() }
        }
    };
    let (values, of_variables) = environment::read(variables);
    problems.extend(of_variables);
    for (path, value) in values {
        set(&mut tree, path, value);
    }
    let config = deserialize(tree, &mut problems);
    problems.extend(validate::problems(&config));
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
}

fn read_file(path: &Utf8Path) -> Result<(Map<String, Value>, Vec<ConfigProblem>), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let parsed: Option<Map<String, Value>> = serde_saphyr::from_str(&text)
        .map_err(|fault| ConfigError::Parse { path: path.to_owned(), reason: fault.to_string() })?;
    let mut tree = parsed.unwrap_or_default();
    let mut problems = Vec::new();
    prune(&mut tree, "", &Origin::File(path.to_owned()), &mut problems);
    Ok((tree, problems))
}

/// Takes out what isn't a setting: unknown keys, which are problems, and empty ones, which are defaults.
fn prune(tree: &mut Map<String, Value>, prefix: &str, origin: &Origin, problems: &mut Vec<ConfigProblem>) {
    tree.retain(|name, value| {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let known = schema::find(&path).is_some() || schema::is_section(&path);
        if !known {
            let nearest = schema::nearest(&path).to_owned();
            problems.push(ConfigProblem::UnknownKey { origin: origin.clone(), key: path.clone(), nearest });
        } else if let Value::Object(inner) = value
            && schema::is_section(&path)
        {
            prune(inner, &path, origin, problems);
        }
        known && !value.is_null()
    });
}

fn set(tree: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            tree.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = tree.entry(section).or_insert_with(|| Value::Object(Map::new()));
            // A file that gives a section a plain value is told so when the whole is read; the variable comes after it.
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// `queue: {max_jobs: 5}` alone means the default adapter.
fn name_adapters(tree: &mut Map<String, Value>) {
    let Ok(Value::Object(defaults)) = serde_json::to_value(Config::default()) else { return };
    for (section, default) in defaults {
        if let (Some(Value::Object(given)), Some(adapter)) = (tree.get_mut(&section), default.get("type")) {
            given.entry("type").or_insert_with(|| adapter.clone());
        }
    }
}

/// Takes out each value that doesn't fit its type and goes on without it, so that all of them are told at once.
fn deserialize(mut tree: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Config {
    loop {
        name_adapters(&mut tree);
        let fault = match serde_path_to_error::deserialize::<_, Config>(Value::Object(tree.clone())) {
            Ok(config) => return config,
            Err(fault) => fault,
        };
        let path = fault.path().clone();
        let reason = explain(&tree, &path.to_string(), &fault.into_inner().to_string());
        problems.push(ConfigProblem::Value { key: path.to_string(), reason });
        let keys = path.iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            _ => None,
        });
        if !remove(&mut tree, &keys.collect::<Vec<_>>()) {
            return Config::default();
        }
    }
}

/// What serde says of an address names neither the value nor its form.
fn explain(tree: &Map<String, Value>, path: &str, reason: &str) -> String {
    let (section, key) = path.split_once('.').unwrap_or((path, ""));
    match tree.get(section).and_then(|section| section.get(key)) {
        Some(Value::String(text)) if key == "listen" => {
            format!("{text:?} is not an address with a port; write it as 127.0.0.1:3000 or [::1]:3000")
        }
        _ => reason.to_owned(),
    }
}

fn remove(tree: &mut Map<String, Value>, path: &[&str]) -> bool {
    match path {
        [] => false,
        [last] => tree.remove(*last).is_some(),
        [first, rest @ ..] => {
            tree.get_mut(*first).and_then(Value::as_object_mut).is_some_and(|inner| remove(inner, rest))
        }
    }
}
