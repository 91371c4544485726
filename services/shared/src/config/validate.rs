//! What types alone don't say about a configuration.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{
    Beside, Config, Index, Jetstream, Milvus, Model, ModelChecksums, Objects, Queue, S3, error::ConfigProblem,
};

/// Everything that would fail later, at a worse moment.
pub(super) fn problems(config: &Config) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let mut need = |holds: bool, key: &str, reason: &str| {
        if !holds {
            problems.push(ConfigProblem::Value { key: key.to_owned(), reason: reason.to_owned() });
        }
    };
    positive_numbers(config, &mut need);
    relations(config, &mut need);
    forms(config, &mut need);
    stores(config, &mut need);
    problems
}

/// The smallest part that S3 takes, save for the last.
const MIN_PART_BYTES: u64 = 5 << 20;
/// The most that servers and SQLite count to; beyond it they would take a number for a negative one, which is no limit.
const MAX_COUNT: u64 = i64::MAX.unsigned_abs();
/// The longest time that NATS knows: it counts nanoseconds.
const MAX_SECONDS: u64 = MAX_COUNT / 1_000_000_000;
/// The most that Milvus takes as a parameter of its graphs and as a number of copies.
const MAX_PARAMETER: u64 = (1 << 31) - 1;

fn stores(config: &Config, need: &mut impl FnMut(bool, &str, &str)) {
    if let Objects::S3(s3) = &config.objects {
        bucket(s3, need);
    }
    match &config.queue {
        Queue::Sqlite { max_jobs, keep_tasks, .. } => limits(*max_jobs, *keep_tasks, need),
        Queue::Jetstream(jetstream) => streams(jetstream, need),
    }
    if let Index::Milvus(milvus) = &config.index {
        collections(milvus, need);
    }
}

fn bucket(s3: &S3, need: &mut impl FnMut(bool, &str, &str)) {
    need(!s3.bucket.is_empty(), "objects.bucket", "must name a bucket");
    let both = s3.access_key_id.is_some() == s3.secret_access_key.is_some();
    need(both, "objects.secret_access_key", "goes together with objects.access_key_id");
    need(s3.part_size_bytes >= MIN_PART_BYTES, "objects.part_size_bytes", "must be at least 5242880 (5 MiB)");
    need(s3.timeout_ms > 0, "objects.timeout_ms", "must be more than 0");
    need(s3.endpoint.as_deref().is_none_or(is_url), "objects.endpoint", "must be a URL, like http://minio:9000");
    let known = |algorithm: &String| ["AES256", "aws:kms"].contains(&algorithm.as_str());
    let reason = "must be AES256 or aws:kms";
    need(s3.server_side_encryption.as_ref().is_none_or(known), "objects.server_side_encryption", reason);
}

fn streams(jetstream: &Jetstream, need: &mut impl FnMut(bool, &str, &str)) {
    need(!jetstream.servers.is_empty(), "queue.servers", "must name a server");
    need(is_name(&jetstream.name), "queue.name", "must be letters, digits, - or _");
    need([1, 3, 5].contains(&jetstream.replicas), "queue.replicas", "must be 1, 3 or 5");
    let ways = [jetstream.user.is_some(), jetstream.token.is_some(), jetstream.credentials_file.is_some()];
    let one = ways.into_iter().filter(|way| *way).count() <= 1;
    need(one, "queue.user", "give one of user, token and credentials_file");
    let both = jetstream.certificate_file.is_some() == jetstream.key_file.is_some();
    need(both, "queue.key_file", "goes together with queue.certificate_file");
    need(jetstream.timeout_ms > 0, "queue.timeout_ms", "must be more than 0");
    limits(jetstream.max_jobs, jetstream.keep_tasks, need);
    within(1..=MAX_SECONDS, jetstream.keep_tasks_for_s, "queue.keep_tasks_for_s", need);
    within(1..=MAX_SECONDS, jetstream.duplicate_window_s, "queue.duplicate_window_s", need);
}

fn limits(max_jobs: u64, keep_tasks: u64, need: &mut impl FnMut(bool, &str, &str)) {
    within(1..=MAX_COUNT, max_jobs, "queue.max_jobs", need);
    within(1..=MAX_COUNT, keep_tasks, "queue.keep_tasks", need);
}

fn collections(milvus: &Milvus, need: &mut impl FnMut(bool, &str, &str)) {
    need(is_url(&milvus.url), "index.url", "must be a URL, like http://milvus:19530");
    let prefix = &milvus.collection_prefix;
    let reason = "must be letters, digits or _, with no digit first";
    let is_prefix =
        is_name(prefix) && !prefix.contains('-') && !prefix.starts_with(|first: char| first.is_ascii_digit());
    need(is_prefix, "index.collection_prefix", reason);
    let both = milvus.certificate_file.is_some() == milvus.key_file.is_some();
    need(both, "index.key_file", "goes together with index.certificate_file");
    let one = milvus.token.is_none() || milvus.user.is_none();
    need(one, "index.token", "give a token or a user, not both");
    within(2..=2048, milvus.hnsw_m, "index.hnsw_m", need);
    within(1..=MAX_PARAMETER, milvus.hnsw_ef_construction, "index.hnsw_ef_construction", need);
    within(1..=MAX_PARAMETER, milvus.hnsw_ef, "index.hnsw_ef", need);
    within(1..=MAX_PARAMETER, milvus.replicas, "index.replicas", need);
    need(milvus.timeout_ms > 0, "index.timeout_ms", "must be more than 0");
}

fn within(range: RangeInclusive<u64>, value: u64, key: &str, need: &mut impl FnMut(bool, &str, &str)) {
    let reason = format!("must lie between {} and {}", range.start(), range.end());
    need(range.contains(&value), key, &reason);
}

fn is_url(text: &str) -> bool {
    text.parse::<Url>().is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn positive_numbers(config: &Config, need: &mut impl FnMut(bool, &str, &str)) {
    let Config { ingestapi, ingestworker, searchapi, cdnapi, http, .. } = config;
    for (key, value) in [
        ("ingestapi.max_image_bytes", ingestapi.max_image_bytes),
        ("ingestapi.max_items", ingestapi.max_items as u64),
        ("ingestapi.sweep_interval_s", ingestapi.sweep_interval_s),
        ("ingestworker.batch_size", ingestworker.batch_size as u64),
        ("ingestworker.max_attempts", ingestworker.max_attempts.into()),
        ("ingestworker.retry_min_ms", ingestworker.retry_min_ms),
        ("ingestworker.max_pixels", ingestworker.max_pixels),
        ("ingestworker.fetch.timeout_ms", ingestworker.fetch.timeout_ms),
        ("searchapi.max_query_image_bytes", searchapi.max_query_image_bytes),
        ("searchapi.max_limit", searchapi.max_limit as u64),
        ("cdnapi.max_concurrent_renders", cdnapi.max_concurrent_renders as u64),
        ("http.request_timeout_ms", http.request_timeout_ms),
        ("http.idle_timeout_ms", http.idle_timeout_ms),
        ("http.max_connections", http.max_connections as u64),
        ("http.max_concurrent_requests", http.max_concurrent_requests as u64),
        ("model.threads", config.model.threads.map_or(1, |threads| threads as u64)),
    ] {
        need(value > 0, key, "must be more than 0");
    }
}

fn relations(config: &Config, need: &mut impl FnMut(bool, &str, &str)) {
    let Config { ingestapi, ingestworker, .. } = config;
    need(
        ingestapi.max_request_bytes >= ingestapi.max_image_bytes,
        "ingestapi.max_request_bytes",
        "must be at least ingestapi.max_image_bytes",
    );
    need(
        ingestworker.max_in_flight >= ingestworker.batch_size,
        "ingestworker.max_in_flight",
        "must be at least ingestworker.batch_size",
    );
    need(
        ingestworker.retry_max_ms >= ingestworker.retry_min_ms,
        "ingestworker.retry_max_ms",
        "must be at least ingestworker.retry_min_ms",
    );
    // Leases are extended at a third of their time; shorter ones would run out on a busy machine.
    need(ingestapi.stray_after_s >= 10, "ingestapi.stray_after_s", "must be at least 10");
    need(ingestworker.lease_ms >= 1000, "ingestworker.lease_ms", "must be at least 1000");
}

fn models(model: &Model, need: &mut impl FnMut(bool, &str, &str)) {
    let Model { source, sha256, beside, .. } = model;
    need(!source.trim().is_empty(), "model.source", "must name a model, for example bundled");
    checksums("model.sha256", sha256.as_ref(), need);
    let names_one = beside.source.as_ref().is_some_and(|source| !source.trim().is_empty());
    let is_empty = *beside == Beside::default();
    need(is_empty || names_one, "model.beside.source", "must name a model, for example bundled");
    checksums("model.beside.sha256", beside.sha256.as_ref(), need);
}

fn checksums(key: &str, expected: Option<&ModelChecksums>, need: &mut impl FnMut(bool, &str, &str)) {
    let reason = "must be 64 hexadecimal digits";
    match expected {
        None => {}
        Some(ModelChecksums::Archive(checksum)) => need(is_checksum(checksum), key, reason),
        Some(ModelChecksums::Files(files)) => {
            for (file, checksum) in files {
                need(is_checksum(checksum), key, &format!("of {file} {reason}"));
            }
        }
    }
}

fn forms(config: &Config, need: &mut impl FnMut(bool, &str, &str)) {
    need(!config.data_dir.as_str().is_empty(), "data_dir", "must name a folder");
    for network in &config.ingestworker.fetch.allow_networks {
        let reason = format!("{network:?} is no network; write it as 10.1.0.0/16 or fd00::/8");
        need(network.parse::<IpNet>().is_ok(), "ingestworker.fetch.allow_networks", &reason);
    }
    let sizes = &config.cdnapi.variant_sizes;
    let ascending = sizes.windows(2).all(|pair| pair[0] < pair[1]) && sizes.first().is_some_and(|size| *size > 0);
    need(ascending, "cdnapi.variant_sizes", "must be one or more sizes above 0, ascending");
    models(&config.model, need);
    if let Err(fault) = EnvFilter::builder().parse(&config.log.filter) {
        need(false, "log.filter", &format!("{:?} is no log filter: {fault}", config.log.filter));
    }
}

/// A SHA-256 in hexadecimal digits.
pub(crate) fn is_checksum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
