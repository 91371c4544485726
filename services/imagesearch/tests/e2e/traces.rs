//! Exporting in one process: what a collector gets, and that one which is away, silent or refusing costs nothing.

use std::time::{Duration, Instant};

use axum::{body::Bytes, http::HeaderMap};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use uuid::Uuid;

use crate::server::{Server, photo};

const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");
const SOON_LOGS: (&str, &str) = ("OTEL_BLRP_SCHEDULE_DELAY", "50");

/// What a collector does with whoever comes.
#[derive(Debug, Clone, Copy)]
enum Collector {
    Away,
    Silent,
    Refusing,
}

impl Collector {
    /// Its address.
    async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        match self {
            Self::Away => drop(listener),
            Self::Silent => drop(tokio::spawn(async move {
                let mut kept = Vec::new();
                while let Ok((stream, _)) = listener.accept().await {
                    kept.push(stream);
                }
            })),
            Self::Refusing => drop(tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut read = [0; 16 << 10];
                    let _ = stream.read(&mut read).await;
                    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(refusal).await;
                }
            })),
        }
        url
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_takes_nothing_delays_nobody_and_is_told_of_once() {
    for collector in [Collector::Away, Collector::Silent, Collector::Refusing] {
        let endpoint = collector.start().await;
        let settings =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), SOON, SOON_LOGS, ("OTEL_BSP_MAX_QUEUE_SIZE", "64")];
        let mut server = Server::start_with(&settings).await;
        let entry = server.upload("giraffe.jpg", photo("giraffe.jpg")).await;
        assert_eq!(server.ended(&entry["task_id"]).await["status"], "indexed", "{collector:?}");
        let started = Instant::now();
        // Many times what the queue of spans holds.
        for _ in 0..200 {
            assert_eq!(server.search("a giraffe", 1).await.len(), 1);
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{collector:?}: {:?}", started.elapsed());
        let stopping = Instant::now();
        assert_eq!(server.stop(), Some(0));
        assert!(stopping.elapsed() < Duration::from_secs(10), "{collector:?}: {:?}", stopping.elapsed());
        let log = server.log();
        let told = log.lines().filter(|line| line.contains("OTLP")).count();
        // Of each signal once, as far as its deadline has passed; all else is a line a request and some of the start.
        assert!(told <= 2, "{collector:?}: {log}");
        assert!(log.lines().count() < 400, "{collector:?}: {} lines", log.lines().count());
        if !matches!(collector, Collector::Silent) {
            assert!(told >= 1, "{collector:?}: {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_go_out_by_otlp_with_the_ids_of_request_and_trace() {
    // Jaeger takes no logs. In protobuf, texts stand as they are, and ids of traces as their bytes.
    let (send, mut received) = tokio::sync::mpsc::unbounded_channel();
    let take = async move |headers: HeaderMap, body: Bytes| {
        // Whoever doesn't say who he is, nobody listens to.
        if headers.get("x-tenant").is_some_and(|tenant| tenant == "photos") {
            drop(send.send(body));
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = axum::Router::new().route("/v1/logs", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, collector).await });
    let tenant = ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=photos");
    let server = Server::start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), tenant, SOON, SOON_LOGS]).await;

    let trace_id = [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked = server.http.get(server.url("/api/v1/image")).header("traceparent", traceparent);
    asked.header("x-request-id", "request-of-this-test").send().await.unwrap();
    let contains = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let found = async {
        loop {
            let body = received.recv().await.expect("the collector runs");
            if contains(&body, b"request-of-this-test") {
                return body;
            }
        }
    };
    let body = tokio::time::timeout(Duration::from_mins(1), found).await.expect("the record of the request");
    for part in [&b"answered"[..], b"/api/v1/image", b"service.name", &trace_id] {
        assert!(contains(&body, part), "{:?}", String::from_utf8_lossy(part));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_asks_for_a_certificate_is_shown_one() {
    let folder = tempfile::tempdir().unwrap();
    servers::certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let of_both = ["grpc", "http"].into_iter().flat_map(|protocol| {
        let flag = |name: &str, value: &str| format!("--collector.otlp.{protocol}.tls.{name}={value}");
        let files = [("cert", "server.pem"), ("key", "server.key"), ("client-ca", "ca.pem")];
        files
            .map(|(name, value)| flag(name, &file(value)))
            .into_iter()
            .chain([flag("enabled", "true")])
            .collect::<Vec<_>>()
    });
    let jaeger = servers::jaeger_with(&of_both.collect::<Vec<_>>()).await;
    let (authority, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let (http, grpc) = (format!("{}/v1/traces", jaeger.http()), jaeger.grpc());
    for (protocol, endpoint) in [("http/protobuf", http), ("grpc", grpc)] {
        let endpoint = endpoint.replace("http:", "https:");
        let server = Server::start_with(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
            SOON,
        ])
        .await;
        let trace_id = Uuid::new_v4().simple().to_string();
        let asked = server.http.get(server.url("/api/v1/image"));
        asked.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01")).send().await.unwrap();
        jaeger.until(&trace_id, &["GET /api/v1/image"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_begins_traces_that_the_server_continues() {
    let jaeger = servers::jaeger().await;
    let endpoint = jaeger.http();
    let otel = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), SOON, ("OTEL_LOGS_EXPORTER", "none")];
    let server = Server::start_with(&otel).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("giraffe.jpg");
    std::fs::write(&file, photo("giraffe.jpg")).unwrap();
    let mut ingest = server.command(&["ingest", file.to_str().unwrap()]);
    assert!(ingest.envs(otel).output().unwrap().status.success());
    server.until_idle().await;

    let started = Instant::now();
    let trace = loop {
        let found = jaeger.find("imagesearch-cli", "imagesearch%20ingest").await;
        if let Some(trace) = found.into_iter().find(|trace| trace.spans.iter().any(|span| span.name == "index")) {
            break trace;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "the trace of the command did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let command = trace.span("imagesearch ingest");
    assert_eq!((command.parent.as_ref(), command.service.as_str()), (None, "imagesearch-cli"));
    let sent = trace.span("POST");
    assert_eq!(sent.parent.as_ref(), Some(&command.id));
    let taken = trace.span("POST /api/v1/ingest");
    assert_eq!((taken.parent.as_ref(), taken.service.as_str()), (Some(&sent.id), "imagesearch"));

    // Without a collector of its own, the command still says where its request belongs: the log has an id of a trace.
    assert!(server.command(&["search", "a giraffe"]).output().unwrap().status.success());
    let line = server.log();
    let line = line.lines().rev().find(|line| line.contains("/api/v1/image/search")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let trace_id = line["trace_id"].as_str().unwrap();
    let trace = jaeger.until(trace_id, &["GET /api/v1/image/search"]).await;
    assert_eq!(trace.span("GET /api/v1/image/search").id, line["span_id"].as_str().unwrap());
    assert!(trace.span("GET /api/v1/image/search").parent.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_over_stores_is_one_span() {
    let jaeger = servers::jaeger().await;
    let endpoint = jaeger.http();
    let folder = tempfile::tempdir().unwrap();
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_imagesearch"))
        .args(["check", "--data-dir", "there-is-nothing-here"])
        .current_dir(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .output()
        .unwrap();
    assert!(!check.status.success());
    let started = Instant::now();
    let trace = loop {
        if let Some(trace) = jaeger.find("imagesearch-cli", "imagesearch%20check").await.pop() {
            break trace;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "the span of the command did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let [command] = &trace.spans[..] else { panic!("{:?}", trace.names()) };
    assert_eq!(command.attributes["otel.status_code"], "ERROR");
}
