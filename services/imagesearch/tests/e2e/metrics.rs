//! Metrics as Prometheus sees them: what is exposed is what docs/metrics.md says, and no client can make series at will.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, distr::Alphanumeric, seq::IndexedRandom};
use shared::metrics::{Definition, Values, definitions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::server::{Server, photo};

/// Requests that one client sends, one after the other.
const PER_CLIENT: usize = 50;

impl Server {
    async fn metrics(&self, accept: &str) -> (String, String) {
        let response = self.http.get(format!("{}/metrics", self.admin)).header("accept", accept).send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (content_type, response.text().await.unwrap())
    }

    /// Each series once, without its value.
    async fn series(&self) -> BTreeSet<String> {
        let (_, text) = self.metrics("text/plain").await;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_type_is_the_one_of_the_body() {
    let server = Server::start().await;
    let (content_type, text) = server.metrics("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("# EOF\n") && text.contains("# UNIT "));
    let (content_type, text) = server.metrics("*/*").await;
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.contains("# EOF") && !text.contains("# UNIT "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exposed_is_what_the_page_of_metrics_says() {
    let server = Server::start().await;
    let task = server.upload("photo.jpg", photo("castillodeSanMarcos.jpg")).await;
    server.ended(&task["task_id"]).await;
    let damaged = server.upload("damaged.jpg", photo("castillodeSanMarcos.jpg")[..300].to_vec()).await;
    server.ended(&damaged["task_id"]).await;
    server.search("a castle", 1).await;
    server.get(&format!("/images/{}?w=200", task["image_id"].as_str().unwrap())).await;

    server.until_swept().await;

    let (_, text) = server.metrics("text/plain").await;
    let known = known_samples();
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
        let definition = known.get(name).unwrap_or_else(|| panic!("docs/metrics.md does not know {name}"));
        for (label, value) in pairs(labels.trim_end_matches('}')) {
            check_label(definition, label, value);
        }
        found.insert(definition.name);
    }
    let absent: Vec<_> = definitions().iter().map(|one| one.name).filter(|name| !found.contains(name)).collect();
    assert!(absent.is_empty(), "never seen: {absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_odd_requests_make_no_series_of_their_own() {
    let server = Server::start().await;
    let before = server.series().await.len();
    send_odd_requests(&server, 5000).await;
    let after_half = server.series().await;
    send_odd_requests(&server, 5000).await;
    let after_all = server.series().await;
    // Every method with every status of a route that is there at most, and one value for all other paths.
    assert!(after_half.len() < before + 2000, "{} series of {before} were", after_half.len());
    let new: Vec<_> = after_all.difference(&after_half).filter(|series| series.starts_with("http_")).collect();
    assert!(new.is_empty(), "the second half made series of its own: {new:?}");
    assert!(after_all.iter().any(|series| series.contains("http_route=\"unmatched\"")));
    assert!(after_all.iter().all(|series| !series.contains("odd-")), "something that a client sent is in a label");
}

/// Samples by the names that they have in the plain format.
fn known_samples() -> BTreeMap<String, &'static Definition> {
    let mut known = BTreeMap::new();
    for definition in definitions() {
        let name = definition.full_name();
        for ending in ["_bucket", "_sum", "_count"] {
            known.insert(format!("{name}{ending}"), definition);
        }
        known.insert(name, definition);
    }
    known
}

/// `a="b",c="d"`; no value of ours has a quote or a comma in it.
fn pairs(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.trim_end_matches('"').split_once("=\"").unwrap())
}

fn check_label(definition: &Definition, label: &str, value: &str) {
    if label == "le" {
        return;
    }
    let declared = definition.labels.iter().find(|declared| declared.name == label);
    let declared = declared.unwrap_or_else(|| panic!("{} has no label {label}", definition.name));
    if let Values::Closed(values) = declared.values {
        assert!(values.contains(&value), "{}: {label} can't be {value}", definition.name);
    }
}

async fn send_odd_requests(server: &Server, number: usize) {
    let address = server.frontend.strip_prefix("http://").unwrap().to_owned();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..number / PER_CLIENT {
        let address = address.clone();
        clients.spawn(async move {
            for request in std::iter::repeat_with(odd_request).take(PER_CLIENT) {
                let mut connection = TcpStream::connect(&address).await.unwrap();
                connection.write_all(request.as_bytes()).await.unwrap();
                // To the end of the answer: it is counted by then. A server may close before it has read everything.
                let _ = connection.read_to_end(&mut Vec::new()).await;
            }
        });
        while clients.len() >= 8 {
            clients.join_next().await.unwrap().unwrap();
        }
    }
    clients.join_all().await;
}

/// Well formed, and nothing that anybody would send.
fn odd_request() -> String {
    let mut random = rand::rng();
    let mut word = |length: usize| -> String {
        let letters = (&mut random).sample_iter(Alphanumeric).take(length).map(char::from);
        format!("odd-{}", letters.collect::<String>())
    };
    let (name, value) = (word(8), word(40));
    let paths = [
        format!("/{}", word(12)),
        format!("/images/{}", word(20)),
        format!("/api/v1/image/{}/similar", word(9)),
        format!("/api/v1/ingest/{}", word(30)),
        format!("/api/v1/image/search?{}={}", word(5), word(5)),
        format!("/{}/../{}", word(3), word(3)),
    ];
    let own = word(6).to_uppercase();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", &own];
    let (method, path) = (methods.choose(&mut random).unwrap(), paths.choose(&mut random).unwrap());
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\
         x-{name}: {value}\r\nuser-agent: {value}\r\nx-request-id: {value}\r\ntraceparent: {value}\r\n\r\n"
    )
}
