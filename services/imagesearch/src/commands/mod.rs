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
use shared::config::{Config, LogFormat};

use crate::{
    cli::{Cli, Command, ConfigArgs},
    output,
    roles::{self, alone::Role},
};

pub(crate) async fn run(Cli { command, json }: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Ingest(_) | Command::Search(_) | Command::Status(_) | Command::Delete(_) = &command {
        shared::telemetry::start_traces("imagesearch-cli")?;
    }
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
