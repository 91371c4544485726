//! The same uploads through the roles as processes, over their stores, and through one process: what the hops cost in
//! processor time, which other work on the machine hardly changes.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{images::Photos, report, server::Server, stores::Servers};

/// As from a few clients.
const AT_ONCE: usize = 16;
/// One thread for embedding each, so that both forms have as many as the machine has processors.
const WORKERS: usize = 2;

/// Milliseconds of processor time an image, by who took it.
type Times = Vec<(&'static str, f64)>;

pub(crate) async fn measure(program: &Utf8Path, uploads: usize) -> Result<()> {
    let photos = Photos::of_100_kb()?;
    let one = one_process(program, &photos, uploads).await?;
    let (ours, stores) = roles(program, &photos, uploads).await?;
    let total = |times: &Times| times.iter().map(|(_, time)| time).sum::<f64>();

    let title = format!("{uploads} uploads of 100 kB, processor time an image");
    report::table(&title, &["", "ms", "ratio", "target"]);
    let row = |name: &str, time_ms: f64, target: &str| {
        let ratio = format!("{:.2}", time_ms / one);
        report::row(&[name.to_owned(), format!("{time_ms:.2}"), ratio, target.to_owned()]);
    };
    row("one process", one, "");
    row("the roles", total(&ours), "≤ 1.3");
    for (name, time_ms) in ours.iter().chain(&stores) {
        row(name, *time_ms, "");
    }
    report::end();
    Ok(())
}

async fn one_process(program: &Utf8Path, photos: &Photos, uploads: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(program, &Utf8PathBuf::try_from(folder.path().join("data"))?).await?;
    let before_s = server.processor_s()?;
    server.upload_each(photos.numbered(0..uploads), AT_ONCE).await?;
    server.until_tasks_ended(uploads).await?;
    Ok((server.processor_s()? - before_s) * 1e3 / uploads as f64)
}

async fn roles(program: &Utf8Path, photos: &Photos, uploads: usize) -> Result<(Times, Times)> {
    let folder = tempfile::tempdir()?;
    let folder = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let servers = Servers::start().await;
    let start =
        async |role, name: &str| Server::start_role(program, role, &folder.join(name), settings(&servers)).await;
    let ingestapi = start("ingestapi", "ingestapi").await?;
    let mut processes = Vec::new();
    for number in 0..WORKERS {
        processes.push(("the workers", start("ingestworker", &format!("ingestworker-{number}")).await?));
    }
    processes.push(("searchapi and cdnapi", start("searchapi", "searchapi").await?));
    processes.push(("searchapi and cdnapi", start("cdnapi", "cdnapi").await?));

    let now = || -> Result<(Times, Times)> {
        let mut ours = vec![("ingestapi", ingestapi.processor_s()?)];
        for (name, process) in &processes {
            match ours.last_mut() {
                Some((last, time)) if last == name => *time += process.processor_s()?,
                _ => ours.push((name, process.processor_s()?)),
            }
        }
        Ok((ours, servers.processor_s()?.to_vec()))
    };
    let before = now()?;
    ingestapi.upload_each(photos.numbered(0..uploads), AT_ONCE).await?;
    ingestapi.until_tasks_ended(uploads).await?;
    let after = now()?;
    let an_image = |before: Times, after: Times| {
        let times = before.into_iter().zip(after);
        times.map(|((name, before_s), (_, after_s))| (name, (after_s - before_s) * 1e3 / uploads as f64)).collect()
    };
    Ok((an_image(before.0, after.0), an_image(before.1, after.1)))
}

fn settings(servers: &Servers) -> Vec<(String, String)> {
    let mut settings = servers.settings();
    settings.push(("IMAGESEARCH_MODEL__THREADS".into(), "1".into()));
    settings
}
