//! One upload is one trace across all processes, and so is a search; on a real Jaeger.

use axum::routing::get;
use serde_json::json;
use servers::{Jaeger, Span, Trace};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::cluster::{Cluster, Stores, again, photos};

/// A trace that the test begins, as a page does.
struct Begun {
    trace_id: String,
    span_id: String,
}

impl Begun {
    fn new() -> Self {
        Self {
            trace_id: Uuid::new_v4().simple().to_string(),
            span_id: Uuid::new_v4().simple().to_string()[..16].to_owned(),
        }
    }

    fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

async fn traced(workers: usize, protocol: &str) -> (Cluster, Jaeger) {
    traced_with(workers, protocol, &[]).await
}

async fn traced_with(workers: usize, protocol: &str, more: &[(&'static str, &str)]) -> (Cluster, Jaeger) {
    let (jaeger, stores) = tokio::join!(servers::jaeger(), Stores::start());
    let endpoint = if protocol == "grpc" { jaeger.grpc() } else { jaeger.http() };
    let settings = [
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            if protocol == "grpc" { endpoint } else { format!("{endpoint}/v1/traces") },
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<_> = settings.chain(more.iter().copied()).collect();
    let mut cluster = Cluster::start_with(stores, workers, &settings);
    cluster.until_ready().await;
    (cluster, jaeger)
}

/// The names that OpenTelemetry's conventions have for what we tell, and Jaeger for what it makes of OTLP.
const CONVENTIONS: [&str; 13] = [
    "aws.s3.",
    "db.",
    "error",
    "http.",
    "internal.span.format",
    "messaging.",
    "network.",
    "otel.",
    "rpc.",
    "server.",
    "service.",
    "span.kind",
    "url.",
];

/// Asserts that attributes have the names of the conventions, or begin with ours.
fn assert_conventional(trace: &Trace) {
    for span in &trace.spans {
        for name in span.attributes.keys() {
            let known = CONVENTIONS.iter().any(|convention| name.starts_with(convention));
            assert!(known || name.starts_with("imagesearch."), "{} has {name}", span.name);
        }
        let system = |name: &str| span.name.ends_with(" jobs") && !span.attributes.contains_key(name);
        assert!(!system("messaging.system"), "{} names no system: {:?}", span.name, span.attributes);
    }
}

/// Asserts whose child a span is.
fn assert_child(trace: &Trace, parent: &Span, child: &str, service: &str) {
    let child = trace.span(child);
    assert_eq!(child.parent.as_deref(), Some(parent.id.as_str()), "{} in {:?}", child.name, trace.names());
    assert_eq!(child.service, service, "{}", child.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_one_trace_from_its_caller_to_the_index() {
    let (cluster, jaeger) = traced(1, "grpc").await;
    let begun = Begun::new();
    let (_, bytes) = photos().swap_remove(0);
    let part = reqwest::multipart::Part::bytes(bytes).file_name("holiday-with-somebody.jpg");
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = cluster.http.post(cluster.ingestapi.url("/api/v1/ingest")).header("traceparent", begun.header());
    let answer: serde_json::Value = upload.multipart(form).send().await.unwrap().json().await.unwrap();
    let entry = &answer["tasks"][0];
    assert_eq!(cluster.until_idle().await["indexed"], 1);
    let names =
        ["POST /api/v1/ingest", "publish jobs", "receive jobs", "process jobs", "fetch", "decode", "embed", "index"];
    let trace = jaeger.until(&begun.trace_id, &names).await;

    let request = trace.span("POST /api/v1/ingest");
    assert_eq!(
        (request.parent.as_deref(), request.service.as_str()),
        (Some(begun.span_id.as_str()), "imagesearch-ingestapi")
    );
    assert_child(&trace, request, "publish jobs", "imagesearch-ingestapi");
    let publish = trace.span("publish jobs");
    assert_child(&trace, publish, "receive jobs", "imagesearch-ingestworker");
    assert_child(&trace, publish, "process jobs", "imagesearch-ingestworker");
    let process = trace.span("process jobs");
    for step in ["fetch", "decode", "embed", "index", "ack jobs"] {
        assert_child(&trace, process, step, "imagesearch-ingestworker");
    }
    let read_from_store =
        |span: &&Span| span.name == "S3/GetObject" && span.parent.as_deref() == Some(&trace.span("fetch").id);
    let read = trace.spans.iter().find(read_from_store).unwrap_or_else(|| panic!("{:?}", trace.names()));
    assert_eq!(read.attributes["rpc.method"], "GetObject");
    assert!(read.attributes.contains_key("aws.s3.bucket") && read.attributes.contains_key("aws.s3.key"));

    assert_eq!(request.attributes["http.route"], "/api/v1/ingest");
    assert_eq!(request.attributes["http.response.status_code"], 202);
    assert_eq!(request.attributes["span.kind"], "server");
    assert_eq!(publish.attributes["messaging.message.id"], entry["task_id"]);
    assert_eq!(publish.attributes["messaging.system"], "nats");
    assert_eq!(process.attributes["imagesearch.image_id"], entry["image_id"]);
    assert_eq!(process.attributes["imagesearch.outcome"], "indexed");

    for (step, write) in [("embed", None), ("index", Some("upsert "))] {
        let part = trace.span(step);
        let [(batch_trace, batch_span)] = &part.links[..] else { panic!("{step} links to {:?}", part.links) };
        let batch = jaeger.until(batch_trace, &[&format!("{step} batch")]).await;
        let whole = batch.span(&format!("{step} batch"));
        assert_eq!(&whole.id, batch_span);
        assert!(whole.links.contains(&(begun.trace_id.clone(), part.id.clone())), "{:?}", whole.links);
        if let Some(write) = write {
            let upsert = batch.spans.iter().find(|span| span.name.starts_with(write)).expect("the write of the batch");
            assert_eq!(
                (upsert.parent.as_ref(), &upsert.attributes["db.system.name"]),
                (Some(&whole.id), &"milvus".into())
            );
        }
    }
    assert_conventional(&trace);
    assert!(!trace.text.contains("holiday-with-somebody"), "what users call their images is not in a trace");
    // Of every process that had a part in it, the log is found by the same id.
    assert!(cluster.ingestapi.log().contains(&begun.trace_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_by_its_url_is_one_trace_and_so_is_its_delivery() {
    let loopback = [("IMAGESEARCH_INGESTWORKER__FETCH__ALLOW_NETWORKS", "127.0.0.0/8")];
    let (cluster, jaeger) = traced_with(1, "grpc", &loopback).await;
    let (_, bytes) = photos().swap_remove(0);
    let site = axum::Router::new().route("/album-of-somebody/photo.jpg", get(async || bytes));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, site).await });
    let begun = Begun::new();
    let urls = json!({"urls": [format!("http://127.0.0.1:{port}/album-of-somebody/photo.jpg?token=of-somebody")]});
    let asked = cluster.http.post(cluster.ingestapi.url("/api/v1/ingest")).header("traceparent", begun.header());
    assert_eq!(asked.json(&urls).send().await.unwrap().status(), 202);
    assert_eq!(cluster.until_idle().await["indexed"], 1);
    let names = ["POST /api/v1/ingest", "publish jobs", "process jobs", "fetch", "GET", "embed", "index"];
    let trace = jaeger.until(&begun.trace_id, &names).await;
    let asked = trace.span("GET");
    let fetch = trace.spans.iter().find(|span| Some(&span.id) == asked.parent.as_ref()).expect("the step around it");
    assert_eq!((fetch.name.as_str(), fetch.parent.as_ref()), ("fetch", Some(&trace.span("process jobs").id)));
    assert_eq!((&asked.attributes["span.kind"], &asked.attributes["server.port"]), (&json!("client"), &json!(port)));
    assert_eq!(asked.attributes["http.response.status_code"], 200);
    assert_conventional(&trace);
    assert!(!trace.text.contains("of-somebody"), "{}", trace.text);

    let begun = Begun::new();
    let picture = cluster.cdnapi.url(&format!("/images/{}?w=64", cluster.indexed().await[0]));
    let picture = cluster.http.get(picture).header("traceparent", begun.header()).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    let trace = jaeger.until(&begun.trace_id, &["GET /images/{image_id}", "render", "S3/PutObject"]).await;
    let request = trace.span("GET /images/{image_id}");
    assert_eq!(request.parent.as_deref(), Some(begun.span_id.as_str()));
    assert_child(&trace, request, "render", "imagesearch-cdnapi");
    assert_child(&trace, request, "S3/PutObject", "imagesearch-cdnapi");
    assert_conventional(&trace);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_one_trace_without_its_words() {
    let (cluster, jaeger) = traced(0, "http/protobuf").await;
    let begun = Begun::new();
    let search = cluster.http.get(cluster.searchapi.url("/api/v1/image/search")).query(&[("text", "my secret garden")]);
    let response = search.header("traceparent", begun.header()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let trace = jaeger.until(&begun.trace_id, &["GET /api/v1/image/search", "embed"]).await;
    let request = trace.span("GET /api/v1/image/search");
    assert_eq!(request.parent.as_deref(), Some(begun.span_id.as_str()));
    assert_eq!(request.attributes["imagesearch.request_id"], request_id.as_str());
    assert_child(&trace, request, "embed", "imagesearch-searchapi");
    let asked = trace.spans.iter().find(|span| span.name.starts_with("search ")).expect("the question to the index");
    assert_eq!((asked.parent.as_ref(), &asked.attributes["span.kind"]), (Some(&request.id), &"client".into()));
    assert_conventional(&trace);
    assert!(!trace.text.contains("garden"), "{}", trace.text);

    let lost = Begun::new();
    let nowhere = cluster.http.get(cluster.searchapi.url("/my/secret/path")).header("traceparent", lost.header());
    assert_eq!(nowhere.send().await.unwrap().status(), 404);
    let trace = jaeger.until(&lost.trace_id, &["GET"]).await;
    assert!(!trace.text.contains("secret"), "{}", trace.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_sixteen_uploads_finds_the_batch_that_it_was_in() {
    const ROUNDS: usize = 5;
    let (mut cluster, jaeger) = traced_with(1, "grpc", &[("IMAGESEARCH_INGESTWORKER__BATCH_SIZE", "16")]).await;
    let (_, photo) = photos().swap_remove(0);
    let mut uploads = Vec::new();
    for _ in 0..ROUNDS {
        // They are all there when the worker begins, so that more are decoded while the first ones are embedded.
        cluster.workers[0].kill();
        for _ in 0..64 {
            let begun = Begun::new();
            let part = reqwest::multipart::Part::bytes(again(&photo, uploads.len())).file_name("photo.jpg");
            let form = reqwest::multipart::Form::new().part("file", part);
            let upload = cluster.http.post(cluster.ingestapi.url("/api/v1/ingest"));
            let answer = upload.header("traceparent", begun.header()).multipart(form).send().await.unwrap();
            assert_eq!(answer.status(), 202);
            uploads.push(begun.trace_id);
        }
        cluster.workers[0].start_again();
        assert_eq!(cluster.until_idle().await["indexed"], uploads.len());
        // The last spans are on their way for a moment.
        for upload in &uploads {
            jaeger.until(upload, &["embed", "index"]).await;
        }
        let batches = jaeger.find("imagesearch-ingestworker", "embed batch").await;
        let Some(batch) = batches.iter().find(|batch| batch.span("embed batch").links.len() == 16) else { continue };
        let whole = batch.span("embed batch");
        assert_eq!(whole.attributes["imagesearch.batch_size"], 16);
        for (upload, part) in &whole.links {
            assert!(uploads.contains(upload), "{upload} is not the trace of an upload");
            let trace = jaeger.trace(upload).await;
            let [(_, linked)] = &trace.span("embed").links[..] else { panic!("{:?}", trace.span("embed")) };
            assert_eq!((linked, part), (&whole.id, &trace.span("embed").id));
        }
        return;
    }
    panic!("in {ROUNDS} rounds there was no batch of 16");
}
