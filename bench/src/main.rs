//! Measures what docs/performance.md states, each figure beside its yardstick in the same run. `make bench` runs it.

mod cdnapi;
mod change;
mod embedding;
mod images;
mod ingest;
mod ingestapi;
mod milvus_search;
mod originals;
mod points;
mod processor;
mod relay;
mod report;
mod roles;
mod search;
mod server;
mod start;
mod stores;
mod telemetry;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::{Parser, ValueEnum};

/// Measure imagesearch against what it is built on and against plain programs, on this machine
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything when none is named
    parts: Vec<Part>,
    /// The release build of the program
    #[arg(long, env = "IMAGESEARCH_BIN")]
    program: Utf8PathBuf,
    /// A Python with Pillow, numpy and onnxruntime
    #[arg(long, env = "BENCH_PYTHON", default_value = "python3")]
    python: Utf8PathBuf,
    /// Times that each comparison is repeated; its sides take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Images in the index that is searched; fewer than 20,000 have no graph to wait for
    #[arg(long, default_value_t = 100_000)]
    images: usize,
    /// Images that go in through the roles, and through one process
    #[arg(long, default_value_t = 10_000)]
    uploads: usize,
    /// Only fill a data folder with so many images, and end
    #[arg(long, hide = true)]
    fill: Option<Utf8PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The pipeline against bare ONNX Runtime
    Embedding,
    /// Upload to index against a Python worker
    Ingest,
    /// A change of the model against a reindex
    Change,
    /// Search over HTTP in a large index
    Search,
    /// Start to ready, and memory at rest
    Start,
    /// Originals against nginx
    Originals,
    /// Uploads through the roles and their stores against one process
    Roles,
    /// Search over HTTP in a large collection of Milvus
    MilvusSearch,
    /// Uploads to ingestapi against writing to S3
    Ingestapi,
    /// Originals through cdnapi from S3 against reading from S3
    Cdnapi,
    /// Ingest and search with traces and logs exported against without, and a scrape of a busy process
    Telemetry,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { parts, program, python, rounds, images, uploads, fill } = Arguments::parse();
    if let Some(data_dir) = fill {
        return search::fill(&data_dir, images).await;
    }
    let parts = if parts.is_empty() { Part::value_variants().to_vec() } else { parts };
    report::machine()?;
    for part in parts {
        match part {
            Part::Embedding => embedding::measure(rounds).await?,
            Part::Ingest => ingest::measure(&program, &python, rounds).await?,
            Part::Change => change::measure(&program, rounds).await?,
            Part::Search => search::measure(&program, images).await?,
            Part::Start => start::measure(&program, rounds).await?,
            Part::Originals => originals::measure(&program, rounds).await?,
            Part::Roles => roles::measure(&program, uploads).await?,
            Part::MilvusSearch => milvus_search::measure(&program, images).await?,
            Part::Ingestapi => ingestapi::measure(&program, rounds).await?,
            Part::Cdnapi => cdnapi::measure(&program, rounds).await?,
            Part::Telemetry => telemetry::measure(&program, rounds).await?,
        }
    }
    Ok(())
}
