//! `imagesearch model compare`: which of two models finds better what these users look for, and what it costs.

mod measure;
mod queries;
mod report;
mod statistics;

use std::process::ExitCode;

pub(crate) use self::measure::run as measure;
use self::{queries::Plan, report::Report};
use crate::{cli::CompareArgs, commands::config, output};

pub(crate) async fn run(args: &CompareArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    let plan = Plan::read(&args.queries, &config, args.images).await?;
    // One after the other: side by side, each would be as slow as the other lets it.
    let a = measure::apart(&args.config, &args.a, &plan, json).await?;
    let b = measure::apart(&args.config, &args.b, &plan, json).await?;
    let report = Report::of(&plan, (&args.a, &a), (&args.b, &b));
    if json {
        output::print_json(&report)?;
    } else {
        report.lines().iter().try_for_each(|line| output::print_line(line))?;
    }
    Ok(ExitCode::SUCCESS)
}
