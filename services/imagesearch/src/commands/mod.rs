//! One module a command.

mod archive;
mod check;
mod config;
mod delete;
mod health;
mod ingest;
mod keys;
mod model;
mod openapi;
mod reindex;
mod search;
mod status;

use std::process::ExitCode;

use clap::CommandFactory as _;
use shared::{
    config::{Config, LogFormat},
    telemetry,
};
use tracing::field::Empty;

use crate::{
    cli::{Cli, Command, ConfigArgs},
    output,
    roles::{self, alone::Role},
};

pub(crate) async fn run(Cli { command, json }: Cli) -> anyhow::Result<ExitCode> {
    let name = match &command {
        // What they ask of a server are traces.
        Command::Ingest(_) | Command::Search(_) | Command::Status(_) | Command::Delete(_) => None,
        Command::Export(_) => Some("imagesearch export"),
        Command::Import(_) => Some("imagesearch import"),
        Command::Reindex(_) => Some("imagesearch reindex"),
        Command::Check(_) => Some("imagesearch check"),
        Command::Model(_) => Some("imagesearch model"),
        // Processes start theirs with their logs; the others do nothing that is worth a trace.
        _ => return dispatch(command, json).await,
    };
    telemetry::start_traces("imagesearch-cli")?;
    let Some(name) = name else { return dispatch(command, json).await };
    // Nothing is within it: of a million images, a span for each call to a store would be nobody's to read.
    let span = tracing::info_span!(target: telemetry::TRACE, "command", otel.name = name, otel.status_code = Empty);
    let outcome = dispatch(command, json).await;
    if !outcome.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS) {
        span.record("otel.status_code", "ERROR");
    }
    outcome
}

async fn dispatch(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => roles::up::run(logged_as(config::load(&args)?, json)).await,
        Command::Ingestapi(args) => alone(Role::Ingestapi, &args, json).await,
        Command::Ingestworker(args) => alone(Role::Ingestworker, &args, json).await,
        Command::Searchapi(args) => alone(Role::Searchapi, &args, json).await,
        Command::Cdnapi(args) => alone(Role::Cdnapi, &args, json).await,
        Command::Ingest(args) => ingest::run(args, json).await,
        Command::Search(args) => search::run(args, json).await,
        Command::Status(args) => status::run(args, json).await,
        Command::Delete(args) => delete::run(args, json).await,
        Command::Export(args) => archive::export(&args, json).await,
        Command::Import(args) => archive::import(&args, json).await,
        Command::Reindex(args) => reindex::run(&args, json).await,
        Command::Check(args) => check::run(&args, json).await,
        Command::Model(args) => model::run(args, json).await,
        Command::Keys(args) => keys::run(args, json),
        Command::Config(args) => config::print(&args, json),
        Command::Health(args) => health::run(&args, json).await,
        Command::Openapi => openapi::print(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "imagesearch", &mut script);
            output::print_line(String::from_utf8_lossy(&script).trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn alone(role: Role, args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    roles::alone::run(role, logged_as(config::load_for(role.name(), args)?, json)).await
}

fn logged_as(mut config: Config, json: bool) -> Config {
    if json {
        config.log.format = LogFormat::Json;
    }
    config
}
