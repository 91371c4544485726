//! SIGKILL at random moments: what was acknowledged is indexed exactly once, what was deleted stays away.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::StatusCode;

use crate::server::{Server, image_id};

/// Kills in one run; `SOAK_KILLS` asks for more.
const KILLS: usize = 10;
const IMAGES_A_ROUND: usize = 40;

/// What clients were told.
#[derive(Default)]
struct Told {
    acknowledged: HashSet<String>,
    deleted: HashSet<String>,
    /// Deletes whose answer never came: either outcome is right.
    uncertain: HashSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_loses_nothing_and_brings_nothing_back() {
    let kills = std::env::var("SOAK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::start_with(&[("INGESTWORKER__LEASE_MS", "1000")]).await;
    let told = Arc::new(Mutex::new(Told::default()));

    for round in 0..kills {
        let delay = Duration::from_millis(random.random_range(20..1500));
        let work = work(&server, round, random.random(), &told);
        tokio::select! {
            () = work => {}
            () = tokio::time::sleep(delay) => {}
        }
        server.kill();
        server.start_again().await;
    }
    // Images that were stored without an answer have no job before the sweep has found them.
    server.until_swept().await;
    server.until_idle().await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert_promises_kept(&server, &told).await;

    assert_eq!(server.stop(), Some(0), "a drain ends well");
    let left: Vec<_> = walkdir::WalkDir::new(server.data_dir().join("objects/.staging"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
    let check = server.command(&["check", "--deep", "--data-dir"]).arg(server.data_dir()).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

/// Uploads images one after the other and deletes some of them, until it is dropped.
async fn work(server: &Server, round: usize, seed: u64, told: &Mutex<Told>) {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..IMAGES_A_ROUND {
        let bytes = picture(round * IMAGES_A_ROUND + number);
        let id = image_id(&bytes);
        if let Ok(response) = server.try_upload(&format!("{round}-{number}.png"), bytes).await
            && response.status() == StatusCode::ACCEPTED
        {
            told.lock().unwrap().acknowledged.insert(id);
        }
        if random.random_bool(0.25) {
            delete_one(server, &mut random, told).await;
        }
    }
    server.until_idle().await;
}

async fn delete_one(server: &Server, random: &mut StdRng, told: &Mutex<Told>) {
    let Some(id) = ({
        let mut told = told.lock().unwrap();
        let mut known: Vec<_> = told.acknowledged.iter().cloned().collect();
        known.sort();
        let chosen = (!known.is_empty()).then(|| known.swap_remove(random.random_range(0..known.len())));
        // Uncertain until the answer is there: the server may be killed in between.
        if let Some(id) = &chosen {
            told.acknowledged.remove(id);
            told.uncertain.insert(id.clone());
        }
        chosen
    }) else {
        return;
    };
    let url = server.url(&format!("/api/v1/ingest/images/{id}"));
    if let Ok(response) = server.http.delete(url).send().await
        && matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_FOUND)
    {
        let mut told = told.lock().unwrap();
        told.uncertain.remove(&id);
        told.deleted.insert(id);
    }
}

async fn assert_promises_kept(server: &Server, told: &Told) {
    let indexed = server.indexed().await;
    let found: HashSet<String> = indexed.iter().cloned().collect();
    println!("{} acknowledged, {} deleted, {} indexed", told.acknowledged.len(), told.deleted.len(), indexed.len());
    assert!(!told.acknowledged.is_empty() && !told.deleted.is_empty(), "the test must do something");
    assert_eq!(indexed.len(), found.len(), "an image is indexed twice");
    let lost: Vec<_> = told.acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged but not found: {lost:?}");
    let back: Vec<_> = told.deleted.intersection(&found).collect();
    assert!(back.is_empty(), "deleted but found: {back:?}");
    let best: HashSet<String> = server.search("coloured stripes", 1000).await.into_iter().collect();
    assert!(told.deleted.is_disjoint(&best), "a search finds a deleted image");
}

/// A small picture that is unlike any other: stripes whose colours and widths come from its number.
pub(crate) fn picture(number: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let colours: [[u8; 3]; 4] = random.random();
    let width = random.random_range(3..40);
    let picture =
        image::RgbImage::from_fn(96, 72, |x, y| image::Rgb(colours[((x + y * 2) / width) as usize % colours.len()]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
