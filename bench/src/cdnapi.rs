//! Originals through `cdnapi` from the object store, against reading the same objects from the store, both asked by `wrk`.
//! The store is asked by URLs that are signed beforehand, so that the client does the same for both.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::{Client, presigning::PresigningConfig};
use backends::{keys, objects::ObjectKey};
use camino::{Utf8Path, Utf8PathBuf};
use futures::{StreamExt, TryStreamExt};
use shared::ImageId;

use crate::{
    images::Photos,
    originals::{CONNECTIONS, SECONDS, requests_per_second},
    report::{self, median},
    server::Server,
    stores::{BUCKET, Servers},
};

/// Far more than `cdnapi` keeps in memory for the second that it keeps them.
const PICTURES: usize = 3000;
const AT_ONCE: usize = 32;
const SIGNED_FOR: Duration = Duration::from_hours(12);
/// Asks for one path of a file after the other.
const SCRIPT: &str = r#"
local paths, last = {}, 0
for path in io.lines("PATHS") do paths[#paths + 1] = path end
request = function()
    last = last % #paths + 1
    return wrk.format("GET", paths[last])
end
"#;

pub(crate) async fn measure(program: &Utf8Path, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let servers = Servers::start().await;
    let start = async |role| Server::start_role(program, role, &folder.join(role), servers.settings()).await;
    let ingestapi = start("ingestapi").await?;
    let photos = Photos::of_100_kb()?;
    ingestapi.upload_each(photos.numbered(0..PICTURES), AT_ONCE).await?;
    drop(ingestapi);
    let cdnapi = start("cdnapi").await?;
    let signed = signed_paths(&servers.s3_client()).await?;
    let s3_url = servers.s3_url();

    let first_s = ask_each(&cdnapi, signed.keys()).await?;
    let columns = ["", "cdnapi", "S3 directly", "ratio", "target", "processor time: cdnapi", "SeaweedFS", "directly"];
    report::table("Originals of 100 kB from S3", &columns);
    for (name, pictures, target) in [(format!("{PICTURES} in turn"), PICTURES, "≥ 0.6"), ("one".to_owned(), 1, "")] {
        let signed = || signed.iter().take(pictures);
        let ours_script = script(&folder.join("ours"), signed().map(|(image_id, _)| format!("/images/{image_id}")))?;
        let bare_script = script(&folder.join("bare"), signed().map(|(_, path)| path.clone()))?;
        let (mut ours, mut bare) = (Side::default(), Side::default());
        for _ in 0..rounds {
            bare.ask(&s3_url, &bare_script, &servers, &cdnapi)?;
            ours.ask(&cdnapi.url, &ours_script, &servers, &cdnapi)?;
        }
        let (ours_rate, bare_rate) = (median(&ours.rates), median(&bare.rates));
        let rates = [format!("{ours_rate:.0}/s"), format!("{bare_rate:.0}/s"), format!("{:.2}", ours_rate / bare_rate)];
        let times = [ours.time_ms(0), ours.time_ms(1), bare.time_ms(1)].map(|time_ms| format!("{time_ms:.2} ms"));
        report::row(&[&[name][..], &rates, &[target.to_owned()], &times].concat());
    }
    println!("\nwrk {CONNECTIONS} {SECONDS}; each for the first time {:.0}/s\n", PICTURES as f64 / first_s);
    Ok(())
}

/// Of one side, over all its turns.
#[derive(Default)]
struct Side {
    /// Requests a second, turn by turn.
    rates: Vec<f64>,
    requests: f64,
    /// Processor time of cdnapi and of the store, in seconds.
    processor_s: [f64; 2],
}

impl Side {
    fn ask(&mut self, url: &str, script: &Utf8Path, servers: &Servers, cdnapi: &Server) -> Result<()> {
        let now = || -> Result<[f64; 2]> {
            let [_, (_, seaweedfs), _] = servers.processor_s()?;
            Ok([cdnapi.processor_s()?, seaweedfs])
        };
        let (started, before) = (Instant::now(), now()?);
        let rate = requests_per_second(url, &["-s", script.as_str()])?;
        self.rates.push(rate);
        self.requests += rate * started.elapsed().as_secs_f64();
        for (sum_s, (before_s, after_s)) in self.processor_s.iter_mut().zip(before.into_iter().zip(now()?)) {
            *sum_s += after_s - before_s;
        }
        Ok(())
    }

    /// Processor time of one request, in milliseconds.
    fn time_ms(&self, of: usize) -> f64 {
        self.processor_s[of] * 1e3 / self.requests
    }
}

/// Asks for every picture once, and tells how long it took, in seconds: where each lies is known from then on.
async fn ask_each(cdnapi: &Server, image_ids: impl Iterator<Item = &ImageId>) -> Result<f64> {
    let started = Instant::now();
    let requests = futures::stream::iter(image_ids.map(|image_id| {
        let request = cdnapi.http.get(format!("{}/images/{image_id}", cdnapi.url));
        async move { anyhow::Ok(request.send().await?.error_for_status()?.bytes().await?) }
    }));
    requests.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    Ok(started.elapsed().as_secs_f64())
}

/// Where each image's original is read from the store, with a signature.
async fn signed_paths(s3: &Client) -> Result<HashMap<ImageId, String>> {
    let mut paths = HashMap::new();
    let mut pages = s3.list_objects_v2().bucket(BUCKET).prefix(keys::ORIGINALS).into_paginator().send();
    while let Some(page) = pages.next().await {
        for object in page?.contents() {
            let key = object.key().context("an object without a key")?;
            let (image_id, _) = keys::copy_of_original(&ObjectKey::new(key)?).context("not an original")?;
            let request = s3.get_object().bucket(BUCKET).key(key);
            let signed = request.presigned(PresigningConfig::expires_in(SIGNED_FOR)?).await?;
            let (_, address) = signed.uri().split_once("://").context("a URL without a scheme")?;
            let (_, path) = address.split_once('/').context("a URL without a path")?;
            paths.insert(image_id, format!("/{path}"));
        }
    }
    ensure!(paths.len() == PICTURES, "there are {} originals, not {PICTURES}", paths.len());
    Ok(paths)
}

fn script(at: &Utf8Path, paths: impl Iterator<Item = String>) -> Result<Utf8PathBuf> {
    let (list, script) = (at.with_extension("txt"), at.with_extension("lua"));
    fs::write(&list, paths.map(|path| path + "\n").collect::<String>())?;
    fs::write(&script, SCRIPT.replace("PATHS", list.as_str()))?;
    Ok(script)
}
