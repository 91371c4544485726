//! NATS with JetStream.

use crate::server::{Server, free_ports, installed};

/// Starts one, with further arguments of `nats-server`.
pub async fn nats(arguments: &[&str]) -> Server {
    let port = free_ports(1);
    let program = installed("install-nats-server");
    let fixed = [&program, "-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd", "{folder}/data"];
    Server::start("NATS", port, &[&fixed[..], arguments].concat()).await
}
