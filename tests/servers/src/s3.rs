//! SeaweedFS's S3.

use std::{io, time::Instant};

use shared::config::{S3, Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
};

use crate::{
    ports::Ports,
    server::{DEADLINE, POLL, Server, installed},
};

const ACCESS_KEY: &str = "imagesearch-test";
const ALL_ACTIONS: &str = r#"["Admin","Read","Write","List","Tagging"]"#;
const READING: &str = r#"["Read","List"]"#;
const SECRET_KEY: &str = "nobody-keeps-this-secret";
/// Its ports are those of S3, master, volume and filer, each with one for gRPC. The filer's, from the first:
const FILER: u16 = 6;

/// Names an endpoint to use instead of starting a server, with a key of its own in `IMAGESEARCH_TEST_S3_ACCESS_KEY` and
/// `IMAGESEARCH_TEST_S3_SECRET_KEY`.
pub const S3_ENDPOINT: &str = "IMAGESEARCH_TEST_S3_ENDPOINT";

/// Starts one, with further arguments of `weed server`.
pub async fn s3(arguments: &[&str]) -> Server {
    let reserved = Ports::reserve();
    let first = reserved.first();
    let identities = format!(
        r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":{ALL_ACTIONS}}}]}}"#
    );
    let script = r#"mkdir -p "$1/data" && printf %s "$2" >"$1/s3.json" && shift 2 && exec "$@""#;
    let program = installed("install-seaweedfs");
    let ports = ["-s3.port", "-s3.port.grpc", "-master.port", "-master.port.grpc", "-volume.port", "-volume.port.grpc"]
        .into_iter()
        .chain(["-filer.port", "-filer.port.grpc"])
        .zip(first..)
        .map(|(name, port)| format!("{name}={port}"));
    let fixed = ["sh", "-c", script, "sh", "{folder}", &identities, &program, "server", "-ip=127.0.0.1"];
    let rest = ["-ip.bind=127.0.0.1", "-dir={folder}/data", "-s3", "-s3.config={folder}/s3.json"];
    let sockets = ["-s3.localSocket={folder}/s3.sock", "-filer.localSocket={folder}/filer.sock"];
    let limits = ["-master.volumeSizeLimitMB=1024", "-volume.max=400"];
    let off = ["-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"];
    let ports: Vec<String> = ports.collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    let arguments = [&fixed[..], &rest, &sockets, &limits, &off, &ports, arguments].concat();
    // Without it, the server refuses to encrypt.
    let server = Server::start("SeaweedFS", reserved, None, &arguments, &[("WEED_S3_SSE_KEY", "a key of tests")]).await;
    until_it_writes(first + FILER).await;
    server
}

/// It takes connections seconds before its master has been elected, and requests hang until then.
async fn until_it_writes(filer: u16) {
    let started = Instant::now();
    while !writes(filer).await.unwrap_or(false) {
        assert!(started.elapsed() < DEADLINE, "SeaweedFS does not write");
        tokio::time::sleep(POLL).await;
    }
}

async fn writes(filer: u16) -> io::Result<bool> {
    let mut connection = TcpStream::connect(("127.0.0.1", filer)).await?;
    let request = "PUT /ready HTTP/1.1\r\nHost: filer\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1";
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 201"))
}

/// The URL of one that all tests of a process share, or of the one named by [`S3_ENDPOINT`].
pub async fn shared_s3() -> String {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    match std::env::var(S3_ENDPOINT) {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(|| s3(&[])).await.url(),
    }
}

/// From now on the key of `settings` may read and not write.
pub async fn refuse_writes(server: &mut Server) {
    server.restart_with(ALL_ACTIONS, READING).await;
}

/// Takes `refuse_writes` back.
pub async fn allow_writes(server: &mut Server) {
    server.restart_with(READING, ALL_ACTIONS).await;
}

/// Settings for a bucket on that server, made when it is opened.
pub fn settings(server: &Server, bucket: &str) -> S3 {
    settings_at(&server.url(), bucket)
}

/// The same for any server that has the key of ours, or the one of the environment.
pub fn settings_at(endpoint: &str, bucket: &str) -> S3 {
    let key = |name: &str, ours: &str| Some(Secret::new(std::env::var(name).unwrap_or_else(|_| ours.to_owned())));
    S3 {
        bucket: bucket.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: key("IMAGESEARCH_TEST_S3_ACCESS_KEY", ACCESS_KEY),
        secret_access_key: key("IMAGESEARCH_TEST_S3_SECRET_KEY", SECRET_KEY),
        create_bucket: true,
        ..S3::default()
    }
}
