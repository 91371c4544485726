//! The command line of the operator.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use crate::controller::defaults::Defaults;

/// Makes what ImageSearchStacks describe, keeps it so, and scales their workers.
///
/// Without a command it runs against the cluster that it is in, or the one of KUBECONFIG.
#[derive(Debug, Parser)]
#[command(name = "imagesearch-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the definition of the resource, for `kubectl apply -f -`.
    Crd,
}

/// How the operator runs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    pub defaults: Defaults,
    /// The only namespace whose stacks are looked at; all of them when absent.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,
    /// Where metrics and health are served.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_ADMIN", default_value = "0.0.0.0:9090")]
    pub admin: SocketAddr,
    /// What is logged, as in RUST_LOG.
    // Of a connection that breaks, whoever used it tells.
    #[arg(
        long,
        env = "IMAGESEARCH_OPERATOR_LOG",
        default_value = "info,kube_client=off,kube_runtime=warn,async_nats=warn"
    )]
    pub log: String,
    /// How this replica is told from others.
    #[arg(long, env = "POD_NAME", default_value = "imagesearch-operator")]
    pub identity: String,
    /// Name of the Lease by which replicas agree who works.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_LEASE", default_value = "imagesearch-operator")]
    pub lease: String,
}
