//! From the start of the process to its first answer, with the files in the disk cache, and the memory it then takes.

use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    images,
    report::{self, median, milliseconds},
    server::Server,
};

/// After this long at rest, what a start has touched only once is given back.
const REST: Duration = Duration::from_secs(5);

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = Utf8PathBuf::try_from(folder.path().join("data"))?;
    let photos = images::read(&images::photo_paths()?)?;
    let server = Server::start(program, &data_dir).await?;
    server.upload(&photos).await?;
    server.until_indexed(photos.len()).await?;
    drop(server);

    let (mut starts, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let server = Server::start(program, &data_dir).await?;
        starts.push(milliseconds(server.start));
        server.get_json("/api/v1/image/search?text=a%20giraffe").await?;
        tokio::time::sleep(REST).await;
        resident.push(server.memory_mib("VmRSS:")? as f64);
    }
    report::table("Start and rest", &["", "median", "highest", "target"]);
    let cells = |name: &str, values: &[f64], unit: &str, target: &str| {
        let highest = report::quantile(values, 1.0);
        [name.to_owned(), format!("{:.0} {unit}", median(values)), format!("{highest:.0} {unit}"), target.to_owned()]
    };
    report::row(&cells("start to ready, files in the disk cache", &starts, "ms", "≤ 1000 ms"));
    report::row(&cells("resident memory at rest, after a search", &resident, "MiB", "≤ 300 MiB"));
    report::end();
    Ok(())
}
