//! Answers searches: the model's text side is in memory. While there are two models, there is one for each; the Service leads to
//! the one that searches use.

use super::{
    http::{self, HttpObjects},
    pod,
};
use crate::controller::{
    names::{self, Component},
    stack::Stack,
};

pub(crate) const PORT: u16 = 8001;

/// The one that searches use.
pub(crate) fn build(stack: &Stack) -> HttpObjects {
    let component = stack.searchapi_in_use();
    let mut service = http::service(stack, Component::SearchApi, &[("http", PORT)]);
    if let Some(spec) = &mut service.spec {
        spec.selector = Some(names::selector_labels(&stack.name, component));
    }
    HttpObjects { service: Some(service), ..of(stack, component) }
}

/// The one of the second model.
pub(crate) fn beside(stack: &Stack) -> HttpObjects {
    HttpObjects { service: None, ..of(stack, stack.searchapi_beside()) }
}

fn of(stack: &Stack, component: Component) -> HttpObjects {
    http::role(stack, component, PORT, &stack.searchapi, pod::resources("100m", "384Mi", "2Gi"))
}
