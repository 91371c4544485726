//! Milvus.

use crate::server::{Server, free_ports, scripts};

/// The ports that a server takes.
const PORTS: u16 = 12;

/// Starts one. It takes connections before it serves collections: who asks early waits.
pub async fn milvus() -> Server {
    let port = free_ports(PORTS);
    let script = scripts().join("start-milvus");
    Server::start("Milvus", port, &[script.to_str().unwrap(), "{folder}/data", &port.to_string()]).await
}
