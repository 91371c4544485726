//! `imagesearch`: every role of the system and the command line for any deployment, in one binary.

use std::process::ExitCode;

use clap::Parser;

mod assets;
mod cli;
mod client;
mod commands;
mod exit;
mod output;
mod roles;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("cannot start the runtime"), json),
    };
    let outcome = runtime.block_on(async {
        let outcome = commands::run(cli).await;
        shared::telemetry::shutdown().await;
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => exit::report(&error, json),
    }
}
