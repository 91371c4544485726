//! Jaeger, which takes traces by OTLP, keeps them in memory, and tells of them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    ports::Ports,
    server::{Server, installed},
};

/// Generous: it bounds a hang, it measures nothing.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

pub struct Jaeger {
    server: Server,
    http: reqwest::Client,
}

/// A trace as it was exported.
#[derive(Debug)]
pub struct Trace {
    pub spans: Vec<Span>,
    /// Everything that was said of it.
    pub text: String,
}

#[derive(Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub id: String,
    pub parent: Option<String>,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    pub attributes: BTreeMap<String, Value>,
}

/// Starts one.
pub async fn jaeger() -> Jaeger {
    jaeger_with(&[]).await
}

/// Starts one with further arguments.
pub async fn jaeger_with(more: &[String]) -> Jaeger {
    let ports = Ports::reserve();
    let listeners = [
        "query.http-server.host-port",
        "collector.otlp.grpc.host-port",
        "collector.otlp.http.host-port",
        "query.grpc-server.host-port",
        "admin.http.host-port",
        "collector.http-server.host-port",
        "collector.grpc-server.host-port",
    ];
    let arguments: Vec<String> = std::iter::once(installed("install-jaeger"))
        .chain(listeners.iter().zip(ports.all()).map(|(listener, port)| format!("--{listener}=127.0.0.1:{port}")))
        .chain(more.iter().cloned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Jaeger { server: Server::start("Jaeger", ports, None, &arguments, &[]).await, http: reqwest::Client::new() }
}

impl Jaeger {
    /// For OTLP by gRPC.
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port() + 1)
    }

    /// For OTLP by HTTP.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port() + 2)
    }

    /// It keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// What is known of a trace.
    pub async fn trace(&self, trace_id: &str) -> Trace {
        let answer = self.ask(&format!("/api/traces/{trace_id}")).await;
        read(answer["data"].as_array().and_then(|traces| traces.first()))
    }

    /// The newest traces of a service that have a span of this name.
    pub async fn find(&self, service: &str, name: &str) -> Vec<Trace> {
        let answer = self.ask(&format!("/api/traces?service={service}&operation={name}&limit=100")).await;
        answer["data"].as_array().into_iter().flatten().map(|trace| read(Some(trace))).collect()
    }

    /// Waits until spans of all these names have come.
    pub async fn until(&self, trace_id: &str, names: &[&str]) -> Trace {
        let started = Instant::now();
        loop {
            let trace = self.trace(trace_id).await;
            if names.iter().all(|name| trace.spans.iter().any(|span| span.name == *name)) {
                return trace;
            }
            assert!(started.elapsed() < DEADLINE, "{names:?} are not all in {:?}", trace.names());
            tokio::time::sleep(POLL).await;
        }
    }

    async fn ask(&self, path: &str) -> Value {
        // A trace that isn't known yet is answered 404, in JSON too.
        self.http.get(format!("{}{path}", self.server.url())).send().await.unwrap().json().await.unwrap()
    }
}

impl Trace {
    /// The span of a name; it must be the only one.
    pub fn span(&self, name: &str) -> &Span {
        let mut named = self.spans.iter().filter(|span| span.name == name);
        let span = named.next().unwrap_or_else(|| panic!("{name} is not in {:?}", self.names()));
        assert!(named.next().is_none(), "{name} is there more than once");
        span
    }

    /// Service and name of each span.
    pub fn names(&self) -> Vec<(&str, &str)> {
        self.spans.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect()
    }
}

fn read(trace: Option<&Value>) -> Trace {
    let Some(trace) = trace else { return Trace { spans: Vec::new(), text: String::new() } };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let spans = trace["spans"].as_array().unwrap().iter().map(|span| {
        let references = span["references"].as_array().into_iter().flatten();
        let (parents, links): (Vec<_>, Vec<_>) = references
            .partition(|reference| reference["refType"] == "CHILD_OF" && reference["traceID"] == span["traceID"]);
        let attributes = span["tags"].as_array().unwrap().iter();
        Span {
            service: text(&trace["processes"][text(&span["processID"])]["serviceName"]),
            name: text(&span["operationName"]),
            id: text(&span["spanID"]),
            parent: parents.first().map(|parent| text(&parent["spanID"])),
            links: links.iter().map(|link| (text(&link["traceID"]), text(&link["spanID"]))).collect(),
            attributes: attributes.map(|tag| (text(&tag["key"]), tag["value"].clone())).collect(),
        }
    });
    Trace { spans: spans.collect(), text: trace.to_string() }
}
