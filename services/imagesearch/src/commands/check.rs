//! `imagesearch check`: compares stored images, index and tasks, and mends what differs when told to.

use std::{process::ExitCode, time::Duration};

use backends::{check, survey::SurveyOptions};
use jiff::Timestamp;

use crate::{cli::CheckArgs, commands::config, exit::Failure, output, roles::up::Engine};

pub(crate) async fn run(args: &CheckArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    let engine = Engine::open_existing(&config).await?;
    let bar = output::progress_bar(engine.collection.count(None).await?, "images", json);
    bar.set_message("checking");
    let options = if args.idle || !config.embedded_stores().is_empty() {
        SurveyOptions::alone_since(Timestamp::now())
    } else {
        SurveyOptions::while_serving(Duration::from_secs(config.ingestapi.stray_after_s))
    };
    let options = SurveyOptions { deep: args.deep, ..options };
    let checked =
        check::check(&engine.stores, &engine.collection, options, args.repair, &|images| bar.set_position(images))
            .await;
    bar.finish_and_clear();
    let checked = checked?;
    if json {
        output::print_json(&checked)?;
    } else {
        let report = checked.left.as_ref().unwrap_or(&checked.found);
        report.examples.iter().try_for_each(|example| output::print_line(example))?;
        output::print_line(&format!(
            "{} indexed, {} waiting, {} failed, {} deleted: {} differences",
            report.indexed,
            report.waiting,
            report.failed,
            report.deleted,
            checked.differences()
        ))?;
        if checked.differences() > 0 && !args.repair {
            output::print_line("`imagesearch check --repair` mends what can be mended")?;
        }
    }
    Ok(if checked.differences() > 0 { Failure::Partial.into() } else { ExitCode::SUCCESS })
}
