//! `imagesearch health`: whether the process of this configuration is ready, for health checks in images without a shell.

use std::{net::SocketAddr, process::ExitCode};

use reqwest::Method;
use serde_json::Value;

use crate::{
    cli::{ConfigArgs, ServerArgs},
    client::Client,
    commands::config,
    output,
};

pub(crate) async fn run(args: &ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let address = reachable(config::load(args)?.admin.listen);
    let client = Client::new(&ServerArgs { server: format!("http://{address}").parse()?, key_file: None })?;
    let ready: Value = client.json(client.request(Method::GET, "/readyz")?).await?;
    if json {
        output::print_json(&ready)?;
    } else {
        output::print_line("ready")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a server that listens on `listen` is reached from this machine: all addresses are no address.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback = if listen.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        listen.set_ip(loopback);
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:9091", "[::1]:9091"), ("10.1.2.3:9090", "10.1.2.3:9090")]
        {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
