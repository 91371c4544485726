//! `imagesearch openapi`: the HTTP description, as it is served and committed.

use std::process::ExitCode;

use crate::{output, roles::api};

pub(crate) fn print() -> anyhow::Result<ExitCode> {
    output::print_line(&api::document().to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
