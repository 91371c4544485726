//! Measures the adapter at the size that docs/architecture.md gives figures for. With `MEASURE_FOLDER`, a first run leaves
//! the index there and a second shows a fresh process on it. Not a test of anything:
//! `cargo test -p backends -- --ignored --nocapture index::qdrant_edge::measure`

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use shared::filter::parse;

use super::{
    super::{ListQuery, Point, SearchQuery, conformance::*},
    *,
};

const DIMENSION: usize = 512;
const POINTS: usize = 100_000;
const BATCH: usize = 32;

/// xorshift64: the same numbers in every run.
struct Random(u64);

impl Random {
    /// Between −1 and 1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn unit(rng: &mut Random, around: Option<&[f32]>) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..DIMENSION).map(|_| rng.next()).collect();
    if let Some(center) = around {
        vector.iter_mut().zip(center).for_each(|(value, center)| *value = *value * 0.03 + center);
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in &mut vector {
        *value /= length;
    }
    vector
}

fn sample(rng: &mut Random, centers: &[Vec<f32>], number: usize) -> Point {
    let mut document = document(&format!("IMG_{number:06}.jpg"));
    document.created += jiff::SignedDuration::from_secs(number as i64);
    document.metadata.tags = vec![format!("tag{}", number % 10), format!("album{}", number / 500)];
    document.metadata.caption = Some(format!("a photo of thing {} near place {}", number % 997, number % 89));
    document.metadata.fields = [("rating".to_owned(), json!(number % 5))].into();
    document.facts = Some(facts(4000, 3000, false));
    Point { vector: unit(rng, Some(&centers[number % centers.len()])), document }
}

fn memory_mib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let memory = format!("RSS {} MiB (anonymous {})", memory_mib("VmRSS"), memory_mib("RssAnon"));
    println!("{name}: p50 {:?} p99 {:?} max {:?}; {memory}", at(0.5), at(0.99), at(1.0));
}

async fn searches(collection: &dyn Collection, centers: &[Vec<f32>], name: &str, filter: Option<&str>, count: usize) {
    let mut rng = Random(2);
    let filter = filter.map(|text| parse(text).unwrap());
    let mut times = Vec::new();
    for number in 0..count {
        let vector = unit(&mut rng, Some(&centers[number % centers.len()]));
        let started = Instant::now();
        collection.search(&SearchQuery { filter: filter.as_ref(), ..query(&vector, 0, 20) }).await.unwrap();
        times.push(started.elapsed());
    }
    report(name, times);
}

/// Until nothing is being built any more.
async fn optimized(path: &Utf8Path) {
    let building = path.join(&spec().model.0).join("shard/temp_segments");
    for _quiet in 0..20 {
        while fs::read_dir(&building).is_ok_and(|entries| entries.count() > 0) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Writes batch by batch, `pause` apart.
async fn write(collection: &dyn Collection, centers: &[Vec<f32>], numbers: std::ops::Range<usize>, pause: Duration) {
    let mut rng = Random(1 + numbers.start as u64);
    let mut times = Vec::new();
    let started = Instant::now();
    for first in numbers.clone().step_by(BATCH) {
        let points: Vec<_> = (first..first + BATCH).map(|number| sample(&mut rng, centers, number)).collect();
        let started = Instant::now();
        collection.upsert(&points).await.unwrap();
        times.push(started.elapsed());
        tokio::time::sleep(pause).await;
    }
    println!("{} points in {:?}", numbers.len(), started.elapsed());
    report("upsert of 32", times);
}

const FILTERS: [&str; 6] = [
    "tags:tag3",
    "tags:album7",
    "caption:\"thing 5\"",
    "width >= 1000",
    "fields.rating >= 4",
    "NOT tags:tag3 AND created > 1970-01-01T10:00:00Z",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run by hand"]
async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = Utf8PathBuf::from_path_buf(folder.path().join("index")).unwrap();
    let path = std::env::var("MEASURE_FOLDER").map_or(temporary, Utf8PathBuf::from);
    let filled = path.exists();
    let index = QdrantEdgeIndex::open(&path).unwrap();
    let spec = CollectionSpec { dimension: DIMENSION, ..spec() };
    let started = Instant::now();
    let collection = index.open(&spec).await.unwrap();
    println!(
        "opened in {:?}; RSS {} MiB (anonymous {})",
        started.elapsed(),
        memory_mib("VmRSS"),
        memory_mib("RssAnon")
    );
    let mut rng = Random(1);
    let centers: Arc<Vec<Vec<f32>>> = Arc::new((0..500).map(|_| unit(&mut rng, None)).collect());
    if !filled {
        write(&*collection, &centers, 0..POINTS, Duration::ZERO).await;
    }
    searches(&*collection, &centers, "search before it is optimised", None, 200).await;
    let started = Instant::now();
    optimized(&path).await;
    println!("optimised after {:?}", started.elapsed());
    searches(&*collection, &centers, "search when idle", None, 1000).await;
    for filter in FILTERS {
        searches(&*collection, &centers, filter, Some(filter), 50).await;
        let started = Instant::now();
        let count = collection.count(Some(&parse(filter).unwrap())).await.unwrap();
        println!("  count of {count} in {:?}", started.elapsed());
    }
    let started = Instant::now();
    let page = collection.list(&ListQuery { limit: 100, ..ListQuery::default() }).await.unwrap();
    println!("list of {} in {:?}", page.documents.len(), started.elapsed());

    let writing = tokio::spawn({
        let (collection, centers) = (Arc::clone(&collection), Arc::clone(&centers));
        async move { write(&*collection, &centers, POINTS..POINTS + 6400, Duration::from_millis(200)).await }
    });
    while !writing.is_finished() {
        searches(&*collection, &centers, "search while 160 points/s are written", None, 1000).await;
    }
    optimized(&path).await;
    let started = Instant::now();
    drop((collection, index));
    println!("closed in {:?}", started.elapsed());
    let started = Instant::now();
    let index = QdrantEdgeIndex::open(&path).unwrap();
    let collection = index.open(&spec).await.unwrap();
    println!("opened in {:?}", started.elapsed());
    searches(&*collection, &centers, "search after opening", None, 1000).await;
    let size = std::process::Command::new("du").args(["-sh", path.as_str()]).output().unwrap();
    println!("{}", String::from_utf8_lossy(&size.stdout));
}
