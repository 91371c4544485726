//! `imagesearch keys`: API keys of a deployment whose key file is at hand.

use std::process::ExitCode;

use serde_json::json;
use shared::http::{KeyError, KeyFile, KeyRecord, Scopes};

use crate::{
    cli::{KeysArgs, KeysCommand},
    commands::config,
    exit::{CommandError, Failure},
    output,
};

pub(crate) fn run(args: KeysArgs, json: bool) -> anyhow::Result<ExitCode> {
    let file = KeyFile::at(config::load(&args.config)?.keys_file());
    match args.command {
        KeysCommand::Create { name, scopes } => create(&file, &name, &scopes.into_iter().collect(), json)?,
        KeysCommand::List => list(&file.list()?, json)?,
        KeysCommand::Revoke { id } => {
            let record = file.revoke(&id).map_err(|error| match error {
                KeyError::Unknown { .. } => CommandError::new(Failure::NotFound, error.to_string()).into(),
                error => anyhow::Error::new(error),
            })?;
            let told = format!("revoked {} ({}); servers notice within a second", record.id, record.name);
            if json { output::print_json(&record)? } else { output::print_line(&told)? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(file: &KeyFile, name: &str, scopes: &Scopes, json: bool) -> anyhow::Result<()> {
    let created = file.create(name, scopes.clone())?;
    if json {
        return output::print_json(
            &json!({ "id": created.record.id, "name": name, "scopes": scopes, "key": created.key.reveal() }),
        );
    }
    eprintln!("This key is shown once; keep it where you keep passwords:");
    output::print_line(created.key.reveal())
}

fn list(keys: &[KeyRecord], json: bool) -> anyhow::Result<()> {
    if json {
        return keys.iter().try_for_each(output::print_json);
    }
    if keys.is_empty() {
        return output::print_line("there are no keys; `imagesearch keys create --name NAME --scope read` makes one");
    }
    let row = |key: &KeyRecord| {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let state = key.revoked.map_or_else(|| "valid".to_owned(), |revoked| format!("revoked {revoked:.0}"));
        vec![key.id.clone(), key.name.clone(), scopes.join(","), format!("{:.0}", key.created), state]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    output::table(&["ID", "NAME", "SCOPES", "CREATED", "STATE"], &rows)
        .iter()
        .try_for_each(|line| output::print_line(line))
}
