//! The operator is killed, and another one goes on.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use k8s_openapi::{
    ByteString,
    api::{coordination::v1::Lease, core::v1::Secret},
};
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    process::{Operator, until},
    rights::LEASE,
    stack::{KINDS, Name, OTHER_KINDS, stack_of},
    world::{DEADLINE, World},
};

const LIVES: u64 = 15;
const LONGEST_LIFE_MS: u64 = 1500;

/// What is in Secrets, by their names.
type Contents = BTreeMap<String, Option<BTreeMap<String, ByteString>>>;

/// Each life has a stack to make or to change. KILLS_SEED repeats how long each is.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn killed_at_any_moment_it_comes_to_the_same_end() {
    let seed = std::env::var("KILLS_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::start().await;
    let mut operator = Operator::start(&world);
    let mut secrets = Contents::new();
    let stacks: Vec<String> = (0..LIVES / 3).map(|number| format!("stack-{number}")).collect();
    for stack in &stacks {
        for spec in [one_spec(), another_spec(), one_spec()] {
            world.apply(stack, Some(spec)).await.unwrap();
            world.until_led().await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..=LONGEST_LIFE_MS))).await;
            operator.live_again(&world).await;
            world.assert_kept(&mut secrets).await;
        }
    }

    world.apply("undisturbed", Some(one_spec())).await.unwrap();
    let begun = Instant::now();
    loop {
        world.let_stores_serve().await;
        let difference = world.differences(&stacks, "undisturbed").await;
        if difference.is_empty() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE * 2, "children that are superfluous or missing: {difference:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for stack in stacks {
        world.assert_let_in(&stack).await;
    }
    world.assert_kept(&mut secrets).await;
}

fn one_spec() -> Value {
    json!({
        "ingress": { "type": "Gateway", "parentRefs": [{ "name": "gateway" }] }, "searchApi": { "autoscaling": {} },
    })
}

/// With children that the other one hasn't, and without some of its own; their Secrets are the same.
fn another_spec() -> Value {
    json!({
        "ingress": { "host": "photos.example.com" }, "networkPolicy": "None", "check": { "schedule": "" },
        "cdnApi": { "autoscaling": {} },
    })
}

impl World {
    async fn until_led(&self) {
        until(DEADLINE, "an operator leads", async || self.all::<Lease>().get_opt(LEASE).await.unwrap()).await;
    }

    /// No password and no key is other than when it was first seen. What follows from them is written side by side with them:
    /// it may have been made for one that was never kept.
    async fn assert_kept(&self, seen: &mut Contents) {
        let secrets = self.all::<Secret>().list(&ListParams::default()).await.unwrap();
        let mut found: Contents = secrets.into_iter().map(|secret| (secret.name_any(), secret.data)).collect();
        found.retain(|name, _| name.ends_with("-credentials") || name.contains("-key-"));
        for (name, data) in &*seen {
            assert!(found.get(name) == Some(data), "the Secret {name} is another one");
        }
        seen.extend(found);
    }

    /// The queue lets in whom the roles are.
    async fn assert_let_in(&self, stack: &str) {
        let password = self.secret(&format!("{stack}-queue-credentials"), "password").await.unwrap();
        let conf = self.secret(&format!("{stack}-queue-config"), "nats.conf").await.unwrap();
        assert!(conf.contains(&password), "{stack}");
    }

    /// What stacks have, or have not, other than the whole one.
    async fn differences(&self, stacks: &[String], whole: &str) -> Vec<(String, Name)> {
        let all = self.suffixes().await;
        let of = |stack: &str| all.get(stack).cloned().unwrap_or_default();
        // The last that is made: it waits for the object store.
        let last = ("StatefulSet", "index".to_owned());
        let mut differences = Vec::new();
        if !of(whole).contains(&last) {
            differences.push((whole.to_owned(), last));
        }
        for stack in stacks {
            differences.extend(of(stack).symmetric_difference(&of(whole)).map(|name| (stack.clone(), name.clone())));
        }
        differences
    }

    /// Of each stack kinds and names of its children, without what the stack is called.
    async fn suffixes(&self) -> BTreeMap<String, BTreeSet<Name>> {
        let mut all = BTreeMap::<String, BTreeSet<Name>>::new();
        for kind in KINDS.into_iter().chain(OTHER_KINDS) {
            for child in self.made(kind).await {
                let stack = stack_of(&child);
                let name = child.name_any();
                let suffix = name.strip_prefix(stack).unwrap_or(&name).trim_start_matches('-');
                all.entry(stack.to_owned()).or_default().insert((kind.1, suffix.to_owned()));
            }
        }
        all
    }
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn of_two_operators_the_other_takes_over() {
    let world = World::start().await;
    let mut first = Operator::start(&world);
    world.apply("photos", None).await.unwrap();
    world.until_settled().await;
    let _second = Operator::start(&world);
    first.kill();
    let killed = Instant::now();
    world.apply("photos", Some(json!({ "searchApi": { "replicas": 2 } }))).await.unwrap();
    world.until_settled().await;
    // A Lease of 15 s, and the time to begin.
    assert!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
}

/// It starts anew then, with nothing left of what it knew: whoever runs it sees to that.
#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn an_operator_that_leads_no_longer_ends() {
    let (world, operator) = World::with_stack(json!({})).await;
    let operator = RefCell::new(operator);
    let taken = json!({ "spec": { "holderIdentity": "another" } });
    world.all::<Lease>().patch(LEASE, &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    let status = until(DEADLINE, "it ends", async || operator.borrow_mut().ended()).await;
    assert!(!status.success(), "it has not ended as it was told to");
}
