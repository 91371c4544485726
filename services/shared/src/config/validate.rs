//! What types alone don't say about a configuration.

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::{Config, error::ConfigProblem};

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
    problems
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
    need(ingestworker.lease_ms >= 1000, "ingestworker.lease_ms", "must be at least 1000");
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
    let hex = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    need(config.model.sha256.as_ref().is_none_or(hex), "model.sha256", "must be 64 hexadecimal digits");
    need(!config.model.source.trim().is_empty(), "model.source", "must name a model, for example bundled");
    if let Err(fault) = EnvFilter::builder().parse(&config.log.filter) {
        need(false, "log.filter", &format!("{:?} is no log filter: {fault}", config.log.filter));
    }
}
