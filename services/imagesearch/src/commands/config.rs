//! `imagesearch config`, and how every command that needs settings gets them.

use std::process::ExitCode;

use shared::config::{self, Config, Source};

use crate::{cli::ConfigArgs, output};

/// Settings from the file, the environment and the flags, the last one winning.
pub(crate) fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    load_for("imagesearch", args)
}

/// The same, with the file of one role.
pub(crate) fn load_for(role: &'static str, args: &ConfigArgs) -> anyhow::Result<Config> {
    let source = args.config.clone().map_or(Source::Role(role), Source::File);
    let mut config = config::load(&source, std::env::vars_os())?;
    if let Some(data_dir) = &args.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

pub(crate) fn print(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let mut config = load(args)?;
    let model = &mut config.model;
    for source in std::iter::once(&mut model.source).chain(&mut model.beside.source) {
        *source = embedding::source::shown(source);
    }
    if json {
        output::print_json(&config)?;
    } else {
        output::print_line(config.to_yaml()?.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
