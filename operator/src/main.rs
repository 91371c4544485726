//! `imagesearch-operator`: makes what ImageSearchStacks describe, keeps it so, and scales their workers.

use clap::Parser;
use operator::{
    cli::{Cli, Command},
    crd, process,
};

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Crd) => {
            print!("{}", serde_saphyr::to_string(&crd::definition())?);
            Ok(())
        }
        None => tokio::runtime::Runtime::new()?.block_on(async {
            let outcome = process::run(cli.options).await;
            shared::telemetry::shutdown().await;
            outcome
        }),
    }
}
