//! Takes uploads, changes and deletes.

use super::{
    http::{self, HttpObjects},
    pod,
};
use crate::controller::{names::Component, stack::Stack};

pub(crate) const PORT: u16 = 8000;

pub(crate) fn build(stack: &Stack) -> HttpObjects {
    http::role(stack, Component::IngestApi, PORT, &stack.ingestapi, pod::resources("100m", "128Mi", "768Mi"))
}
