//! `imagesearch export` and `import`: everything that is stored, through one file.

use std::process::ExitCode;

use backends::archive::{self, ArchiveProgress};
use indicatif::ProgressBar;
use serde_json::json;

use crate::{
    cli::{ExportArgs, ImportArgs},
    commands::config,
    output,
    roles::up::Engine,
};

pub(crate) async fn export(args: &ExportArgs, json: bool) -> anyhow::Result<ExitCode> {
    let engine = Engine::open_existing(&config::load(&args.config)?).await?;
    let bar = output::progress_bar(0, "images", json);
    bar.set_message("exporting");
    let vectors_of = Some(engine.collection.clone());
    let done = archive::export(&engine.stores, vectors_of, &args.file, show(&bar)).await;
    bar.finish_and_clear();
    let done = done?;
    if json {
        output::print_json(&json!({
            "images": done.images, "resumed": done.resumed, "without_original": done.without_original,
            "damaged_records": done.damaged_records, "bytes": done.bytes,
        }))?;
    } else {
        output::print_line(&format!("{} images in {} ({})", done.images, args.file, output::human_bytes(done.bytes)))?;
    }
    let lost = done.without_original + done.damaged_records;
    if lost > 0 {
        anyhow::bail!(
            "{lost} images are not whole in the store and so not in the archive; `imagesearch check` names them"
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn import(args: &ImportArgs, json: bool) -> anyhow::Result<ExitCode> {
    let engine = Engine::open(&config::load(&args.config)?).await?;
    let bar = output::progress_bar(0, "images", json);
    bar.set_message("importing");
    let done = archive::import(&engine.stores, &engine.collection, &args.file, show(&bar)).await;
    bar.finish_and_clear();
    let done = done?;
    if json {
        output::print_json(&json!({
            "images": done.images, "changed": done.changed, "vectors": done.vectors,
            "enqueued": done.enqueued, "left": done.left,
        }))?;
    } else {
        let skipped = done.images - done.changed;
        output::print_line(&format!("{} images taken over, {skipped} were there already", done.changed))?;
        if done.enqueued + done.left > 0 {
            output::print_line(&format!("{} are indexed by the next `imagesearch up`", done.enqueued + done.left))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Moves the bar along: by images when their number is known, by bytes of the archive otherwise.
fn show(bar: &ProgressBar) -> impl FnMut(ArchiveProgress) + Send + 'static {
    let bar = bar.clone();
    move |progress| match (progress.images_total, progress.bytes_total) {
        (Some(total), _) => {
            bar.set_length(total);
            bar.set_position(progress.images);
        }
        (None, Some(total)) => {
            // How many images there are isn't known before the end: told from how much of the file they took so far.
            let share = progress.bytes as f64 / total.max(1) as f64;
            bar.set_length(if share > 0.0 { (progress.images as f64 / share) as u64 } else { 0 });
            bar.set_position(progress.images);
        }
        (None, None) => bar.set_position(progress.images),
    }
}
