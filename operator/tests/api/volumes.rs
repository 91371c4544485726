//! The stores' volumes: they grow, and they get lost. Nobody here makes claims, serves, or runs a Job's pods, so tests do.

use k8s_openapi::api::{
    apps::v1::StatefulSet, batch::v1::Job, core::v1::PersistentVolumeClaim, storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use operator::crd::ConditionStatus;
use serde_json::json;

use super::{
    process::{Operator, until},
    stack::claim,
    world::{DEADLINE, World},
};

/// A claim that is another one than before is an empty volume: that is told, and a Job repairs what the other stores tell.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_volume_that_was_replaced_is_told_and_repaired() {
    let (world, _operator) = World::with_stack(json!({})).await;
    let claims = world.all::<PersistentVolumeClaim>();
    let claim = claim("queue", "10Gi", None);
    let made = claims.create(&PostParams::default(), &claim).await.unwrap();
    let known =
        async || world.stacks().get("photos").await.unwrap().status?.volumes.get("data-photos-queue-0").cloned();
    until(DEADLINE, "the volume is known", async || (known().await == made.metadata.uid).then_some(())).await;

    let no_finalizers = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    claims.patch("data-photos-queue-0", &PatchParams::default(), &no_finalizers).await.unwrap();
    claims.delete("data-photos-queue-0", &DeleteParams::default()).await.unwrap();
    let replacement = claims.create(&PostParams::default(), &claim).await.unwrap();
    let told = async |status: ConditionStatus, reason: &str| {
        let condition = world.condition("StoresIntact").await?;
        ((condition.status, condition.reason.as_str()) == (status, reason)).then_some(condition.message)
    };
    let message = until(DEADLINE, "the loss is told", async || told(ConditionStatus::False, "Repairing").await).await;
    assert!(message.contains("data-photos-queue-0") && message.contains("waits for the stores"), "{message}");
    assert_eq!(world.condition("Degraded").await.unwrap().status, ConditionStatus::True);

    let jobs = world.all::<Job>();
    let repair = async || {
        let all = jobs.list(&ListParams::default()).await.unwrap();
        all.items.iter().map(ResourceExt::name_any).find(|name| name.starts_with("photos-repair-"))
    };
    assert_eq!(repair().await, None, "nothing can be repaired before the stores serve");
    let job = until(DEADLINE, "the repair is begun once the stores serve", async || {
        world.let_stores_serve().await;
        repair().await
    })
    .await;
    world.let_end(&job).await;
    until(DEADLINE, "it is repaired", async || told(ConditionStatus::True, "VolumesKept").await).await;
    assert_eq!(known().await, replacement.metadata.uid);
    until(DEADLINE, "the Job that is done goes", async || repair().await.is_none().then_some(())).await;
}

/// Both stores are to be larger and to run another image; the class of one lets volumes grow.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_volume_grows_where_it_can_and_images_change_all_the_same() {
    let world = World::start().await;
    let grows = world.storage_class("grows", true).await;
    let stays = world.storage_class("stays", false).await;
    let spec = |queue: &str, object_store: &str, tag: &str| {
        let managed = |class: &str, storage: &str, name: &str| {
            let image = format!("{name}:{tag}");
            json!({ "managed": { "storageClassName": class, "storage": storage, "image": image } })
        };
        Some(json!({
            "queue": managed(&grows, queue, "nats"), "objectStore": managed(&stays, object_store, "minio"),
        }))
    };
    let _operator = Operator::start(&world);
    world.apply("photos", spec("10Gi", "50Gi", "first")).await.unwrap();
    world.until_settled().await;
    world.bind(claim("queue", "10Gi", Some(&grows))).await;
    world.bind(claim("objectstore", "50Gi", Some(&stays))).await;

    world.apply("photos", spec("20Gi", "60Gi", "next")).await.unwrap();
    for (component, asked, image, template) in
        [("queue", "20Gi", "nats:next", "10Gi"), ("objectstore", "50Gi", "minio:next", "50Gi")]
    {
        until(DEADLINE, &format!("{component} is as it should be"), async || {
            let set = world.all::<StatefulSet>().get(&format!("photos-{component}")).await.unwrap().spec;
            assert_eq!(storage(&set.volume_claim_templates.unwrap()[0]), template, "this can't be changed");
            let claim = world.all().get(&format!("data-photos-{component}-0")).await.unwrap();
            let found = set.template.spec.unwrap().containers[0].image.clone();
            (storage(&claim) == asked && found.as_deref() == Some(image)).then_some(())
        })
        .await;
    }
    let degraded = until(DEADLINE, "what can't grow is told", async || {
        world.condition("Degraded").await.filter(|degraded| degraded.status == ConditionStatus::True)
    })
    .await;
    assert_eq!(
        degraded.message,
        format!(
            "the volume data-photos-objectstore-0 can't grow to 60Gi: its storage class {stays:?} doesn't allow it"
        )
    );
}

fn storage(claim: &PersistentVolumeClaim) -> &str {
    &claim.spec.as_ref().unwrap().resources.as_ref().unwrap().requests.as_ref().unwrap()["storage"].0
}

impl World {
    /// A class of this test alone.
    async fn storage_class(&self, name: &str, may_grow: bool) -> String {
        let name = format!("{}-{name}", self.namespace);
        let class = json!({
            "metadata": { "name": name }, "provisioner": "imagesearch.dev/none", "allowVolumeExpansion": may_grow,
        });
        let classes = Api::<StorageClass>::all(self.client.clone());
        classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
        name
    }

    /// A claim with a volume.
    async fn bind(&self, claim: PersistentVolumeClaim) {
        let claims = self.all::<PersistentVolumeClaim>();
        claims.create(&PostParams::default(), &claim).await.unwrap();
        let capacity = json!({ "storage": storage(&claim) });
        let bound = json!({ "status": { "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": capacity } });
        claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&bound)).await.unwrap();
    }
}
