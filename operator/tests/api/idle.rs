//! What is written while nothing happens.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{core::v1::PersistentVolumeClaim, events::v1::Event};
use kube::{
    ResourceExt,
    api::{ListParams, PostParams},
};

use super::{by_hand::whole_stack, stack::claim, world::World};

/// Nothing that is read changes anything that is written: no resourceVersion moves but the Lease's. IDLE_S says for how long that
/// is looked at.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn an_idle_stack_is_not_written() {
    let (world, _operator) = whole_stack().await;
    world.all().create(&PostParams::default(), &claim("queue", "10Gi", None)).await.unwrap();
    // Whatever the last change started has come to its end.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = versions(&world).await;
    for kind in ["PersistentVolumeClaim", "Event", "PodMonitor"] {
        assert!(before.keys().any(|(found, _)| *found == kind), "there is no {kind}");
    }
    let idle_s = std::env::var("IDLE_S").map_or(30, |seconds| seconds.parse().unwrap());
    tokio::time::sleep(Duration::from_secs(idle_s)).await;
    assert_eq!(versions(&world).await, before);
}

/// Of the stack and all that is there because of it.
async fn versions(world: &World) -> BTreeMap<(&'static str, String), Option<String>> {
    let list = ListParams::default();
    let mut versions: BTreeMap<_, _> =
        world.children("photos").await.into_iter().map(|(name, object)| (name, object.resource_version())).collect();
    let stack = world.stacks().get("photos").await.unwrap();
    versions.insert(("ImageSearchStack", "photos".into()), stack.resource_version());
    for claim in world.all::<PersistentVolumeClaim>().list(&list).await.unwrap() {
        versions.insert(("PersistentVolumeClaim", claim.name_any()), claim.resource_version());
    }
    for event in world.all::<Event>().list(&list).await.unwrap() {
        versions.insert(("Event", event.name_any()), event.resource_version());
    }
    versions
}
