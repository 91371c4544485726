//! Serves pictures, and resized copies, which are decoded here.

use super::{
    http::{self, HttpObjects},
    pod,
};
use crate::controller::{names::Component, stack::Stack};

pub(crate) const PORT: u16 = 8002;

pub(crate) fn build(stack: &Stack) -> HttpObjects {
    http::role(stack, Component::CdnApi, PORT, &stack.cdnapi, pod::resources("50m", "96Mi", "2Gi"))
}
