//! Milvus.

use tokio::sync::OnceCell;

use crate::server::{Server, free_ports, scripts};

/// The ports that a server takes.
const PORTS: u16 = 12;

/// Starts one, with settings of `scripts/start-milvus`. It takes connections before it serves collections: who asks early
/// waits.
pub async fn milvus(settings: &[(&str, &str)]) -> Server {
    let port = free_ports(PORTS);
    let script = scripts().join("start-milvus");
    Server::start("Milvus", port, &[script.to_str().unwrap(), "{folder}/data", &port.to_string()], settings).await
}

/// The URL of one that all tests of a process share, or of the one named by `IMAGESEARCH_TEST_MILVUS_URL`.
pub async fn shared_milvus() -> String {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    match std::env::var("IMAGESEARCH_TEST_MILVUS_URL") {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(|| milvus(&[])).await.url(),
    }
}
