//! Against a real API server, without pods: what is refused and with which words, and what the operator writes, repairs and
//! leaves alone. `make test-cluster` starts one; KUBECONFIG names another.
#![allow(clippy::unwrap_used)]

mod by_hand;
mod crd;
mod idle;
mod installation;
mod kills;
mod model;
mod operator;
mod process;
mod restart;
mod rights;
mod stack;
mod told;
mod traces;
mod volumes;
mod world;
