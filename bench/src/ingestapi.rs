//! What `ingestapi` takes, against what its object store takes of the same bytes from the same client, and how much memory
//! many uploads at once need.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;
use aws_sdk_s3::Client;
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use futures::{StreamExt, TryStreamExt};

use crate::{
    images::Photos,
    report::{self, median},
    server::Server,
    stores::{BUCKET, Servers},
};

/// Uploads of one turn of each side.
const TURN: usize = 1000;
const CLIENTS: usize = 32;
/// About as many as a record has.
const RECORD_BYTES: usize = 500;
/// For the memory.
const MANY_CLIENTS: usize = 256;
/// More than one part.
const LARGE_BYTES: usize = 10_000_000;

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let photos = Photos::of_100_kb()?;
    let folder = tempfile::tempdir()?;
    let folder = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let servers = Servers::start().await;
    let start = async |name: &str| {
        let mut settings = servers.settings();
        // The store has the same two processors, and gigabytes to write.
        settings.push(("IMAGESEARCH_HTTP__REQUEST_TIMEOUT_MS".into(), "600000".into()));
        Server::start_role(program, "ingestapi", &folder.join(name), settings).await
    };
    throughput(&servers, start("throughput").await?, &photos, rounds).await?;

    report::table(&format!("Memory of ingestapi, {MANY_CLIENTS} uploads at once"), &["", "before", "peak", "target"]);
    for (name, size_bytes, uploads) in
        [("100 kB", photos.size_bytes(), 20 * MANY_CLIENTS), ("10 MB", LARGE_BYTES, MANY_CLIENTS)]
    {
        let ingestapi = start(&format!("memory-{size_bytes}")).await?;
        let before = ingestapi.memory_mib("VmRSS:")?;
        let photos = photos.with_size(size_bytes);
        ingestapi.upload_each(photos.streamed(1_000_000..1_000_000 + uploads), MANY_CLIENTS).await?;
        let peak = ingestapi.memory_mib("VmHWM:")?;
        report::row(&[name.to_owned(), format!("{before} MiB"), format!("{peak} MiB"), "≤ 200 MiB".to_owned()]);
    }
    report::end();
    Ok(())
}

/// Of one side, over all its turns.
#[derive(Default)]
struct Side {
    /// Uploads a second, turn by turn.
    rates: Vec<f64>,
    /// Processor time of ingestapi and of each server, in seconds.
    processor_s: [f64; 3],
}

async fn throughput(servers: &Servers, ingestapi: Server, photos: &Photos, rounds: usize) -> Result<()> {
    let s3 = servers.s3_client();
    let processor_s = || -> Result<[f64; 3]> {
        let [(_, nats), (_, seaweedfs), _] = servers.processor_s()?;
        Ok([ingestapi.processor_s()?, seaweedfs, nats])
    };
    let [mut ours, mut bare, mut both] = [Side::default(), Side::default(), Side::default()];
    // The first turn warms all up.
    for turn in 0..=rounds {
        let numbers = turn * TURN..(turn + 1) * TURN;
        for (side, record_bytes) in [(&mut bare, None), (&mut both, Some(RECORD_BYTES))] {
            let (started, before) = (Instant::now(), processor_s()?);
            put_each(&s3, photos, numbers.clone(), record_bytes).await?;
            side.add(turn, started.elapsed(), before, processor_s()?);
        }
        let (started, before) = (Instant::now(), processor_s()?);
        ingestapi.upload_each(photos.numbered(numbers), CLIENTS).await?;
        ours.add(turn, started.elapsed(), before, processor_s()?);
    }
    let columns = ["", "uploads/s", "processor time an upload: ingestapi", "SeaweedFS", "NATS"];
    report::table(&format!("Acknowledged uploads of 100 kB, {CLIENTS} clients"), &columns);
    for (name, side) in [("ingestapi", &ours), ("S3 alone", &bare), ("S3 alone, image and record", &both)] {
        let times = side.processor_s.map(|time_s| format!("{:.2} ms", time_s * 1e3 / (rounds * TURN) as f64));
        report::row(&[&[name.to_owned(), format!("{:.0}", median(&side.rates))][..], &times].concat());
    }
    let ratio = |side: &Side| median(&ours.rates) / median(&side.rates);
    println!("\nratio {:.2}, target ≥ 0.7; {:.2} of the same two writes\n", ratio(&bare), ratio(&both));
    Ok(())
}

impl Side {
    fn add(&mut self, turn: usize, took: Duration, before_s: [f64; 3], after_s: [f64; 3]) {
        if turn == 0 {
            return;
        }
        self.rates.push(TURN as f64 / took.as_secs_f64());
        for (sum_s, (before_s, after_s)) in self.processor_s.iter_mut().zip(before_s.into_iter().zip(after_s)) {
            *sum_s += after_s - before_s;
        }
    }
}

/// Each image as an object, and a second object after it where one is wished.
async fn put_each(s3: &Client, photos: &Photos, numbers: Range<usize>, record_bytes: Option<usize>) -> Result<()> {
    let folder = if record_bytes.is_some() { "both" } else { "bare" };
    let puts = futures::stream::iter(numbers).map(|number| async move {
        let put = |key: String, body: Bytes| s3.put_object().bucket(BUCKET).key(key).body(body.into()).send();
        put(format!("{folder}/{number}"), photos.number(number)).await?;
        if let Some(bytes) = record_bytes {
            put(format!("records/{number}"), Bytes::from(vec![b' '; bytes])).await?;
        }
        anyhow::Ok(())
    });
    puts.buffer_unordered(CLIENTS).try_for_each(|()| async { Ok(()) }).await
}
