//! Answers searches: the model's text side is in memory.

use super::{
    http::{self, HttpObjects},
    pod,
};
use crate::controller::{names::Component, stack::Stack};

pub(crate) const PORT: u16 = 8001;

pub(crate) fn build(stack: &Stack) -> HttpObjects {
    http::role(stack, Component::SearchApi, PORT, &stack.searchapi, pod::resources("100m", "384Mi", "2Gi"))
}
