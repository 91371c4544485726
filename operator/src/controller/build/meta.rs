//! Metadata of children: names, labels, and who owns them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controller::{
    names::{self, Component},
    stack::Stack,
};

/// A child that goes with its stack.
pub(crate) fn owned(stack: &Stack, component: Component) -> ObjectMeta {
    owned_as(stack, component, stack.child(component))
}

/// A child of that name that goes with its stack.
pub(crate) fn owned_as(stack: &Stack, component: Component, name: String) -> ObjectMeta {
    ObjectMeta { owner_references: Some(vec![stack.owner.clone()]), ..named(stack, component, name) }
}

/// A child that outlives its stack when that is wanted.
pub(crate) fn retained_as(stack: &Stack, component: Component, name: String) -> ObjectMeta {
    if stack.retain { named(stack, component, name) } else { owned_as(stack, component, name) }
}

fn named(stack: &Stack, component: Component, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(stack.namespace.clone()),
        labels: Some(names::labels(&stack.name, component)),
        ..ObjectMeta::default()
    }
}
