//! An API server of the test's own, which it may kill.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::core::WatchEvent;
use kube::{
    Api,
    api::{DeleteParams, WatchParams},
    config::Kubeconfig,
};
use serde_json::json;
use tempfile::TempDir;

use super::{
    process::{Operator, REPAIRED_WITHIN, until},
    rights,
    world::{self, DEADLINE, World},
};

struct Server {
    folder: TempDir,
    kubeconfig: PathBuf,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = cluster("up", folder.path());
        Self { folder, kubeconfig: kubeconfig.trim().into() }
    }

    /// Kills the API server, has its store forget every revision but the last, and starts the API server again.
    fn restart_without_history(&self) {
        let run = self.folder.path().join("run");
        kill(&run.join("apiserver.pid"));
        let revision =
            etcd(&run, "range", &json!({ "key": "AA==", "limit": 1, "range_end": "AA==" }))["header"]["revision"]
                .clone();
        etcd(&run, "compaction", &json!({ "revision": revision, "physical": true }));
        cluster("up", self.folder.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        cluster("down", self.folder.path());
    }
}

fn cluster(command: &str, folder: &Path) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cluster/cluster");
    let done = Command::new(program).args(["api", command]).arg(folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "cluster api {command} failed");
    String::from_utf8(done.stdout).unwrap()
}

fn kill(pid: &Path) {
    let pid = fs::read_to_string(pid).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
}

/// Asks etcd, by the JSON form of its key-value service.
fn etcd(run: &Path, method: &str, body: &serde_json::Value) -> serde_json::Value {
    let done = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--unix-socket"])
        .arg(run.join("clients:1"))
        .args([&format!("http://etcd/v3/kv/{method}"), "--data", &body.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(done.status.success(), "etcd refuses {method}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Watches can't go on from where they were: they are told 410, and list anew.
#[tokio::test]
#[ignore = "needs etcd and the API server's program; make test-cluster"]
async fn an_api_server_that_is_killed_and_has_forgotten_is_outlived() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Server::start();
    let client = rights::client(&server.kubeconfig).await;
    world::install(client.clone()).await;
    let world = World::on(client, Kubeconfig::read_from(&server.kubeconfig).unwrap()).await;
    let operator = RefCell::new(Operator::start(&world));
    world.apply("photos", Some(json!({}))).await.unwrap();
    world.until_settled().await;
    let services = world.all::<Service>();
    let seen = services.get("photos-searchapi").await.unwrap().metadata.resource_version.unwrap();

    server.restart_without_history();
    assert_eq!(refusal(&services, &seen).await, Some(410), "history is gone");
    services.delete("photos-searchapi", &DeleteParams::default()).await.unwrap();
    until(DEADLINE, "the watches go on", async || {
        operator.borrow_mut().keep_alive();
        services.get_opt("photos-searchapi").await.unwrap()
    })
    .await;
    services.delete("photos-cdnapi", &DeleteParams::default()).await.unwrap();
    until(REPAIRED_WITHIN, "as soon as ever", async || services.get_opt("photos-cdnapi").await.unwrap()).await;
}

/// What a watch from a version of long ago is told.
async fn refusal(services: &Api<Service>, version: &str) -> Option<u16> {
    let watch = async {
        let events = services.watch(&WatchParams::default(), version).await?;
        std::pin::pin!(events).try_next().await
    };
    match tokio::time::timeout(Duration::from_secs(10), watch).await.ok()? {
        Ok(Some(WatchEvent::Error(status))) | Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
