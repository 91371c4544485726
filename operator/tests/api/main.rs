//! Against a real API server, without pods: what is refused and with which words, and what the operator writes, repairs and
//! leaves alone. `make test-cluster` starts one; KUBECONFIG names another.
#![allow(clippy::unwrap_used)]

mod crd;
mod operator;
mod restart;
mod traces;
mod world;
