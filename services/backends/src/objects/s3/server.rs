//! A real S3 server for tests: the one named by `IMAGESEARCH_TEST_S3_ENDPOINT` (with `_ACCESS_KEY` and `_SECRET_KEY`), or
//! one SeaweedFS for the whole test process, which dies with it.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use shared::config::{S3, Secret};
use tempfile::TempDir;
use uuid::Uuid;

pub(super) const ENDPOINT: &str = "IMAGESEARCH_TEST_S3_ENDPOINT";
const ACCESS_KEY: &str = "IMAGESEARCH_TEST_S3_ACCESS_KEY";
const SECRET_KEY: &str = "IMAGESEARCH_TEST_S3_SECRET_KEY";
/// Ends the server, and removes its folder, as soon as nobody holds the other end of the pipe: also when that one is killed.
const KEEPER: &str =
    r#"folder=$1; shift; "$@" & cat >/dev/null; kill -9 $!; wait; [ -z "$folder" ] || rm -rf "$folder""#;
/// Master, volumes, filer and S3, each with a port for gRPC.
const PORTS: [&str; 8] = [
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
];
const S3_PORT: usize = 6;

pub(super) struct Server {
    keeper: Child,
    pub(super) ports: Vec<u16>,
}

/// Settings for a namespace of its own on the server that all tests share.
pub(super) fn settings() -> S3 {
    static SHARED: OnceLock<(Server, String)> = OnceLock::new();
    let endpoint = env::var(ENDPOINT).unwrap_or_else(|_| {
        let start = || {
            let folder = TempDir::new().unwrap().keep();
            let server = Server::start(&folder, &free_ports(), true, &[]);
            let endpoint = server.endpoint();
            (server, endpoint)
        };
        SHARED.get_or_init(start).1.clone()
    });
    settings_at(endpoint)
}

pub(super) fn settings_at(endpoint: String) -> S3 {
    S3 {
        bucket: "imagesearch-tests".into(),
        endpoint: Some(endpoint),
        prefix: Some(Uuid::new_v4().to_string()),
        access_key_id: Some(Secret::new(env::var(ACCESS_KEY).unwrap_or("access".into()))),
        secret_access_key: Some(Secret::new(env::var(SECRET_KEY).unwrap_or("secret-of-tests".into()))),
        create_bucket: true,
        part_size_bytes: 5 << 20,
        ..S3::default()
    }
}

pub(super) fn free_ports() -> Vec<u16> {
    let listeners = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

impl Server {
    pub(super) fn start(folder: &Path, ports: &[u16], remove_folder: bool, more: &[&str]) -> Self {
        let keys = r#"{"identities":[{"name":"tests","credentials":[{"accessKey":"access","secretKey":"secret-of-tests"}],
            "actions":["Admin","Read","Write","List","Tagging"]}]}"#;
        fs::write(folder.join("s3.json"), keys).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(if remove_folder { folder } else { Path::new("") }).arg(program());
        keeper.args(["-logtostderr=true", "server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]);
        keeper.args(["-s3.config=s3.json", "-s3.autoCreateBucket=false", "-master.telemetry=false"]);
        keeper.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=200"]);
        keeper.args(["-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"]).args(more);
        keeper.args(PORTS.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
        // Without it, the server refuses to encrypt.
        keeper.env("WEED_S3_SSE_KEY", "a key of tests");
        keeper.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let server = Self { keeper: keeper.spawn().unwrap(), ports: ports.to_vec() };
        server.wait_until_it_listens(folder);
        server
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[S3_PORT])
    }

    fn wait_until_it_listens(&self, folder: &Path) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[S3_PORT])).is_err() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_mins(1), "SeaweedFS does not answer: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    /// Kills it as SIGKILL does, and waits for its end.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn program() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install-seaweedfs");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "SeaweedFS is missing; set {ENDPOINT}, or see above");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
