//! SeaweedFS's S3.

use shared::config::{S3, Secret};

use crate::server::{Server, free_ports, installed};

const ACCESS_KEY: &str = "imagesearch-test";
const SECRET_KEY: &str = "nobody-keeps-this-secret";
/// The ports that a server takes: S3, master, volume and filer, each with one for gRPC.
const PORTS: u16 = 8;

/// Starts one.
pub async fn s3() -> Server {
    let first = free_ports(PORTS);
    let identities = format!(
        r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
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
    let limits = ["-master.volumeSizeLimitMB=64", "-volume.max=100"];
    let off = ["-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"];
    let ports: Vec<String> = ports.collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    Server::start("SeaweedFS", first, &[&fixed[..], &rest, &limits, &off, &ports].concat()).await
}

/// Settings for a bucket on that server, made when it is opened.
pub fn settings(server: &Server, bucket: &str) -> S3 {
    S3 {
        bucket: bucket.to_owned(),
        endpoint: Some(server.url()),
        access_key_id: Some(Secret::new(ACCESS_KEY)),
        secret_access_key: Some(Secret::new(SECRET_KEY)),
        create_bucket: true,
        ..S3::default()
    }
}
