//! `imagesearch reindex`: builds index and task states anew from the stored images, and waits until that is done.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use backends::{
    reindex::{self, Reindexing},
    repair::WhenFull,
};
use serde_json::json;
use shared::TaskStatus;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::ConfigArgs,
    commands::config,
    exit::Failure,
    output,
    roles::{signals, up::Engine},
};

const POLL: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let config = config::load(args)?;
    let engine = Engine::open_existing(&config).await?;
    let bar = output::progress_bar(0, "images", json);
    bar.set_message("reindexing");
    let (model, dimension) = (engine.embedder.fingerprint().clone(), engine.embedder.dimension());
    // The worker starts with the emptied collection and makes room in the queue while the records are still listed.
    let collection = reindex::begin(&engine.stores, &model, dimension).await?;
    let engine = engine.with_collection(collection);
    let drain = CancellationToken::new();
    let mut worker = tokio::spawn(engine.worker(&config)?.run(drain.clone()));
    let shutdown = signals::shutdown();

    let work = async {
        let progress = |done: Reindexing| bar.set_length(done.enqueued);
        let done = reindex::enqueue_all(&engine.stores, &model, WhenFull::Wait, &progress).await?;
        bar.set_length(done.enqueued);
        until_done(&engine, &bar).await?;
        anyhow::Ok(done)
    };
    let done = tokio::select! {
        done = work => Some(done?),
        // Else nothing would ever be done, and this would wait for ever.
        ended = &mut worker => {
            ended.context("the worker broke off; the next `imagesearch up` goes on")?;
            anyhow::bail!("the worker ended before all was done; the next `imagesearch up` goes on");
        }
        () = shutdown.cancelled() => None,
    };
    drain.cancel();
    worker.await?;
    bar.finish_and_clear();
    let Some(done) = done else {
        output::print_line("stopped; the next `imagesearch up` goes on")?;
        return Ok(Failure::Partial.into());
    };
    let failed = count(&engine, TaskStatus::Failed).await?;
    let indexed = engine.collection.count(None).await?;
    if json {
        output::print_json(
            &json!({ "indexed": indexed, "failed": failed, "deleted": done.deleted, "damaged": done.damaged }),
        )?;
    } else {
        output::print_line(&format!(
            "{indexed} images indexed, {failed} failed, {} deleted ones left out",
            done.deleted
        ))?;
    }
    Ok(if done.damaged > 0 { Failure::Partial.into() } else { ExitCode::SUCCESS })
}

async fn until_done(engine: &Engine, bar: &indicatif::ProgressBar) -> anyhow::Result<()> {
    loop {
        let depth = engine.stores.queue.depth().await?;
        let open = depth.queued + depth.in_flight;
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(open));
        if open == 0 {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn count(engine: &Engine, status: TaskStatus) -> anyhow::Result<u64> {
    let counts = engine.stores.queue.counts().await?;
    Ok(counts.into_iter().find(|(counted, _)| *counted == status).map_or(0, |(_, count)| count))
}
