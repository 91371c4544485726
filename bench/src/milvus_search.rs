//! Search over HTTP in a large collection of Milvus: what a search costs beyond embedding its text and what Milvus itself
//! takes, which a relay between `searchapi` and Milvus measures for each query.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, Embedder, EmbedderOptions};
use milvus::v2::{
    ClientV2, ConnectConfig,
    request::{collection::ListCollectionsRequest, index::DescribeIndexRequest, utility::FlushRequest},
};

use crate::{
    images,
    points::Points,
    processor,
    relay::Relay,
    report::{self, milliseconds, quantile},
    search::{Times, ask_one, text},
    server::Server,
    stores::Servers,
};

const QUERIES: usize = 2000;
/// Points that are written at once.
const BATCH: usize = 500;
const DEADLINE: Duration = Duration::from_mins(15);

/// Of one kind of query, in milliseconds.
#[derive(Default)]
struct Measured {
    times: Times,
    /// Milvus's own, for each query.
    milvus: Vec<f64>,
}

pub(crate) async fn measure(program: &Utf8Path, images: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let servers = Servers::start().await;
    fill(&servers, images).await?;
    until_in_graph(servers.milvus_port(), images).await?;

    let relay = Relay::start(servers.milvus_port()).await?;
    let mut settings = servers.settings();
    settings.push(("IMAGESEARCH_INDEX__URL".into(), format!("http://127.0.0.1:{}", relay.port)));
    let searchapi = Server::start_role(program, "searchapi", &folder.join("searchapi"), settings).await?;
    let processors = keep_apart(&servers, &searchapi)?;
    let ask = async |texts: Vec<String>| {
        let mut measured = Measured::default();
        for text in texts {
            relay.take_spent();
            ask_one(&searchapi, &text, &mut measured.times).await?;
            measured.milvus.push(milliseconds(relay.take_spent()));
        }
        anyhow::Ok(measured)
    };
    ask((QUERIES..QUERIES + 100).map(text).collect()).await?;
    let new = ask((0..QUERIES).map(text).collect()).await?;
    let again = ask(vec!["a giraffe at the zoo".to_owned(); QUERIES]).await?;
    // What comes next inherits them.
    processor::keep_on(std::process::id(), &processors)?;
    tell(images, &new, &again);
    Ok(())
}

/// Milvus gets the last processor for itself, as it has a machine for itself: what is measured here is not how the two share.
/// Returns all processors.
fn keep_apart(servers: &Servers, searchapi: &Server) -> Result<String> {
    let last = std::thread::available_parallelism()?.get() - 1;
    ensure!(last > 0, "needs two processors");
    processor::keep_on(servers.milvus_process(), &last.to_string())?;
    for ours in [searchapi.process_id(), std::process::id()] {
        processor::keep_on(ours, &format!("0-{}", last - 1))?;
    }
    Ok(format!("0-{last}"))
}

fn tell(images: usize, new: &Measured, again: &Measured) {
    let title = format!("Search over HTTP, {images} images in Milvus");
    report::table(&title, &["one query at a time", "p50", "p99", "target"]);
    let row = |name: &str, values: &[f64], target: &str| {
        let [p50, p99] = [0.5, 0.99].map(|share| format!("{:.2} ms", quantile(values, share)));
        report::row(&[name.to_owned(), p50, p99, target.to_owned()]);
    };
    let beyond = |measured: &Measured| -> Vec<f64> {
        measured.times.total.iter().zip(&measured.milvus).map(|(total, milvus)| total - milvus).collect()
    };
    row("new texts", &new.times.total, "");
    row("of it, beyond Milvus: embedding, and what is ours", &beyond(new), "");
    row("one text again and again (its vector is cached)", &again.times.total, "");
    row("of it, Milvus's own", &again.milvus, "");
    row("of it, what is ours", &beyond(again), "≤ 2 ms at p99");
    row("of that, beyond the index's adapter", &again.times.beyond, "");
    report::end();
}

async fn fill(servers: &Servers, images: usize) -> Result<()> {
    let embedder = Embedder::load(Bundle::open(&images::model())?, EmbedderOptions::default()).await?;
    let mut points = Points::around_photos(&embedder).await?;
    let stores = servers.open().await?;
    let collection = stores.open_collection(embedder.fingerprint(), embedder.dimension()).await?.collection;
    for first in (0..images).step_by(BATCH) {
        collection.upsert(&points.make(first..images.min(first + BATCH))).await?;
    }
    Ok(())
}

/// Seals what was written, and waits until all of it is in a graph, as it is some minutes after an ingest.
async fn until_in_graph(port: u16, images: usize) -> Result<()> {
    let milvus = ClientV2::new(&ConnectConfig::new().uri(format!("http://127.0.0.1:{port}"))).await?;
    let listed = milvus.list_collections(ListCollectionsRequest::builder().build()?).await?;
    let name = listed.collection_names().first().context("Milvus has no collection")?;
    let flush = FlushRequest::builder().collection_names([name.as_str()]).wait_flushed_ms(60_000);
    milvus.flush(flush.build()?).await?;
    let started = Instant::now();
    loop {
        let wanted = DescribeIndexRequest::builder().collection_name(name.as_str()).field_name("vector");
        let described = milvus.describe_index(wanted.build()?).await?;
        let index = described.indexes().first().context("the vectors have no index")?;
        if index.get_indexed_rows() >= images as i64 && index.get_pending_rows() == 0 {
            return Ok(());
        }
        ensure!(started.elapsed() < DEADLINE, "Milvus did not build its graph: {index:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
