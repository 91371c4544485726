//! Milvus.

use tokio::sync::OnceCell;

use crate::{
    ports::Ports,
    server::{Server, scripts},
};

/// Where its health is told, from the first port.
const HEALTH: u16 = 11;

/// Starts one, with settings of `scripts/start-milvus`.
pub async fn milvus(settings: &[(&str, &str)]) -> Server {
    let ports = Ports::reserve();
    let port = ports.first().to_string();
    let health = format!("http://127.0.0.1:{}/healthz", ports.first() + HEALTH);
    let script = scripts().join("start-milvus");
    Server::start("Milvus", ports, Some(health), &[script.to_str().unwrap(), "{folder}/data", &port], settings).await
}

/// The URL of one that all tests of a process share, or of the one named by `IMAGESEARCH_TEST_MILVUS_URL`.
pub async fn shared_milvus() -> String {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    match std::env::var("IMAGESEARCH_TEST_MILVUS_URL") {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(|| milvus(&[])).await.url(),
    }
}
