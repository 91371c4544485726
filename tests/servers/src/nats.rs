//! NATS with JetStream.

use tokio::sync::OnceCell;

use crate::{
    ports::Ports,
    server::{Server, installed},
};

/// Starts one, with further arguments of `nats-server`.
pub async fn nats(arguments: &[&str]) -> Server {
    let ports = Ports::reserve();
    let port = ports.first().to_string();
    let program = installed("install-nats-server");
    let fixed = [&program, "-js", "-a", "127.0.0.1", "-p", &port, "-sd", "{folder}/data"];
    Server::start("NATS", ports, None, &[&fixed[..], arguments].concat(), &[]).await
}

/// The URL of one that all tests of a process share, or of the one named by `IMAGESEARCH_TEST_NATS_URL`.
pub async fn shared_nats() -> String {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    match std::env::var("IMAGESEARCH_TEST_NATS_URL") {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(|| nats(&[])).await.url(),
    }
}
