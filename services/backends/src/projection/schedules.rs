//! Runs uploads, deletes, changes and workers of one image through every order of their single steps, and checks what is
//! left. Stores that answer at once make each step of an actor one poll of it, so a schedule is a list of who goes next.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::FutureExt;
use serde_json::json;
use shared::{ImageFacts, ImageId, ImageRecord, Job, Metadata, ModelFingerprint};

use self::doubles::{SteppedCollection, SteppedObjects, SteppedQueue};
use super::{Embedded, Presented, Projection};
use crate::{
    error::StoreError,
    index::Collection,
    keys,
    objects::{ObjectStore, memory::MemoryStore},
    projection::job_for,
    records::{RecordError, Records, Upload},
};

mod doubles;

const BYTES: &[u8] = b"a picture";
/// Bounds a search through orders that are too many to try them all.
const RANDOM_SCHEDULES: u64 = 3_000;

type Actor = Pin<Box<dyn Future<Output = ()>>>;
type Make = fn(World) -> Actor;

/// One image's stores. Actors take turns at every call of a store while `stepping` is set.
#[derive(Clone)]
struct World {
    objects: MemoryStore,
    records: Records,
    projection: Projection,
    collection: Arc<SteppedCollection>,
    queue: Arc<SteppedQueue>,
    stepping: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        let stepping = Arc::new(AtomicBool::new(false));
        let objects = MemoryStore::default();
        let stepped = SteppedObjects { inner: objects.clone(), stepping: stepping.clone() };
        let records = Records::new(Arc::new(stepped));
        let collection = Arc::new(SteppedCollection::new(stepping.clone()));
        let queue = Arc::new(SteppedQueue { jobs: Mutex::default(), stepping: stepping.clone() });
        let projection = Projection::new(records.clone(), queue.clone(), collection.clone() as Arc<dyn Collection>);
        Self { objects, records, projection, collection, queue, stepping }
    }

    async fn upload(self) {
        let mut staged = self.objects.stage().await.unwrap();
        staged.write(Bytes::from(BYTES)).await.unwrap();
        let upload = Upload {
            image_id: image_id(),
            size_bytes: BYTES.len() as u64,
            content_type: "image/png".into(),
            name: None,
            metadata: Metadata::default(),
        };
        let staged = Box::new(doubles::SteppedStaged { inner: staged, stepping: self.stepping.clone() });
        let record = self.records.accept_upload(&upload, staged, None).await.unwrap();
        crate::queue::JobQueue::enqueue(self.queue.as_ref(), &[job_for(&record, &model())]).await.unwrap();
    }

    async fn delete(self) {
        match self.records.delete(image_id()).await {
            Ok(_) => self.projection.align(image_id()).await.unwrap(),
            Err(RecordError::NotFound(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn change(self) {
        match self.records.change_metadata(image_id(), &json!({"caption": "changed"})).await {
            Ok(_) => self.projection.align(image_id()).await.unwrap(),
            Err(RecordError::NotFound(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What an ingestworker does with a job, whatever version it names: what the record says now.
    async fn work(self) {
        let read = self.records.read_original(image_id(), 1 << 20).await;
        let Some((_, bytes)) = read.expect("a record never names bytes that are gone") else { return };
        assert_eq!(bytes, BYTES);
        let Some(record) = self.records.set_facts(image_id(), &facts()).await.unwrap() else { return };
        let image = Embedded { record, vector: vec![1.0] };
        let presented: Result<Vec<Presented>, StoreError> =
            self.projection.present(self.collection.as_ref(), &[image]).await;
        assert_eq!(presented.unwrap().len(), 1);
    }

    /// What the sweep does with an image that it finds deleted or changed.
    async fn align(self) {
        self.projection.align(image_id()).await.unwrap();
    }

    /// Does the jobs that are left, one after another, and checks that everything is in line with the record.
    async fn settle_and_check(self) {
        self.stepping.store(false, Ordering::Relaxed);
        while self.queue.pop().is_some() {
            self.clone().work().await;
        }
        let record = self.records.get(image_id()).await.unwrap();
        let point = self.collection.get(image_id()).await.unwrap();
        let originals = self.originals();
        if let Some(record) = record.as_ref().filter(|record| record.document().is_some()) {
            assert_eq!(originals, [keys::original(image_id(), record.original.unwrap()).to_string()]);
            let point = point.expect("a present image is found");
            assert_eq!(Some(&point.document), record.document());
            assert!(point.document.facts.is_some());
        } else {
            assert_eq!(point, None, "a deleted image is not found");
            assert_eq!(originals, Vec::<String>::new());
        }
    }

    fn originals(&self) -> Vec<String> {
        use futures::TryStreamExt;
        let listed: Vec<_> = self.objects.list(keys::ORIGINALS, None).try_collect().now_or_never().unwrap().unwrap();
        listed.into_iter().map(|info| info.key.to_string()).collect()
    }
}

fn image_id() -> ImageId {
    ImageId::of(BYTES)
}

fn model() -> ModelFingerprint {
    ModelFingerprint("0123456789abcdef".into())
}

fn facts() -> ImageFacts {
    serde_json::from_value(json!({"width": 1, "height": 1, "thumbhash": "", "perceptual_hash": ""})).unwrap()
}

fn uploading(world: World) -> Actor {
    Box::pin(world.upload())
}

/// An upload whose worker is done when the actor is, so that no job is left that would hide a loss.
fn indexing(world: World) -> Actor {
    Box::pin(async move {
        world.clone().upload().await;
        if world.queue.pop().is_some() {
            world.work().await;
        }
    })
}

fn deleting(world: World) -> Actor {
    Box::pin(world.delete())
}

fn changing(world: World) -> Actor {
    Box::pin(world.change())
}

fn working(world: World) -> Actor {
    Box::pin(world.work())
}

fn aligning(world: World) -> Actor {
    Box::pin(world.align())
}

/// What happened before the actors start.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Stored,
    Indexed,
    /// With its delete still to be done: vector and original are there.
    DeleteBegun,
}

fn world_after(before: Before) -> World {
    let world = World::new();
    let prepare = async {
        if matches!(before, Before::Nothing) {
            return;
        }
        world.clone().upload().await;
        if !matches!(before, Before::Stored) {
            world.queue.pop().unwrap();
            world.clone().work().await;
        }
        if matches!(before, Before::DeleteBegun) {
            world.records.delete(image_id()).await.unwrap();
        }
    };
    prepare.now_or_never().unwrap();
    world
}

/// Runs the actors in the order that `choose` gives: which of so many that are not done goes next.
fn run(before: Before, actors: &[Make], mut choose: impl FnMut(usize) -> usize) {
    let world = world_after(before);
    world.stepping.store(true, Ordering::Relaxed);
    let mut running: Vec<Actor> = actors.iter().map(|make| make(world.clone())).collect();
    while !running.is_empty() {
        let next = choose(running.len());
        if let Poll::Ready(()) = running[next].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            drop(running.remove(next));
        }
    }
    world.settle_and_check().now_or_never().unwrap();
}

/// Every order of the actors' steps, depth first. Returns how many there are.
fn run_every_schedule(before: Before, actors: &[Make]) -> u64 {
    let mut schedules = 0;
    let mut prefix: Vec<usize> = Vec::new();
    loop {
        let mut taken: Vec<(usize, usize)> = Vec::new();
        run(before, actors, |options| {
            let choice = prefix.get(taken.len()).copied().unwrap_or(0);
            taken.push((choice, options));
            choice
        });
        schedules += 1;
        while taken.last().is_some_and(|(choice, options)| choice + 1 == *options) {
            taken.pop();
        }
        let Some((last, _)) = taken.last_mut() else { return schedules };
        *last += 1;
        prefix = taken.into_iter().map(|(choice, _)| choice).collect();
    }
}

/// A repeatable sample where all orders are too many.
fn run_random_schedules(before: Before, actors: &[Make]) {
    for seed in 1..=RANDOM_SCHEDULES {
        // Source of the constants: Marsaglia, "Xorshift RNGs" (2003).
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        run(before, actors, |options| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % options
        });
    }
}

#[test]
fn no_order_of_two_loses_an_image_or_brings_one_back() {
    let mut schedules = BTreeMap::new();
    for (name, before, actors) in [
        ("an upload of what is being deleted", Before::Indexed, [uploading as Make, deleting]),
        ("an upload and its worker while a delete is taken up again", Before::DeleteBegun, [indexing, aligning]),
        ("an upload while a delete is taken up again", Before::DeleteBegun, [uploading, aligning]),
        ("two uploads of what was deleted", Before::DeleteBegun, [uploading, uploading]),
        ("two first uploads", Before::Nothing, [uploading, uploading]),
        ("a delete of what is being indexed", Before::Stored, [working, deleting]),
        ("a delete of what is being indexed again", Before::Indexed, [working, deleting]),
        ("a change of what is being indexed", Before::Stored, [working, changing]),
        ("a change of what is being deleted", Before::Indexed, [changing, deleting]),
        ("two changes", Before::Indexed, [changing, changing]),
        ("two deletes", Before::Indexed, [deleting, deleting]),
        ("two workers", Before::Stored, [working, working]),
        ("a late worker of what is deleted", Before::DeleteBegun, [working, aligning]),
    ] {
        schedules.insert(name, run_every_schedule(before, &actors));
    }
    assert!(schedules.values().all(|schedules| *schedules > 10), "{schedules:?}");
}

#[test]
#[ignore = "two million orders take minutes; `make test-all` runs them"]
fn no_order_of_an_upload_with_its_worker_and_a_delete_loses_an_image_or_brings_one_back() {
    assert!(run_every_schedule(Before::Indexed, &[indexing, deleting]) > 1_000_000);
}

#[test]
fn no_order_of_many_loses_an_image_or_brings_one_back() {
    run_random_schedules(Before::Indexed, &[indexing, deleting]);
    run_random_schedules(Before::DeleteBegun, &[indexing, indexing]);
    run_random_schedules(Before::Indexed, &[deleting, indexing, working]);
    run_random_schedules(Before::DeleteBegun, &[indexing, aligning, aligning, deleting]);
    run_random_schedules(Before::Stored, &[working, deleting, uploading, working]);
    run_random_schedules(Before::Stored, &[working, deleting, uploading, changing, deleting]);
    run_random_schedules(Before::DeleteBegun, &[aligning, uploading, working, aligning, deleting]);
}

/// The job of a re-upload whose vector a late delete took away is made again, not lost.
#[test]
fn a_vector_that_a_late_delete_removed_is_made_again() {
    let world = world_after(Before::DeleteBegun);
    let indexed_meanwhile = async {
        world.clone().upload().await;
        let job: Job = world.queue.pop().unwrap();
        assert_eq!(job.source.image_id(), Some(image_id()));
        world.clone().work().await;
    };
    world.stepping.store(true, Ordering::Relaxed);
    let mut late = world.clone().align().boxed_local();
    let context = &mut Context::from_waker(Waker::noop());
    // It has read the record, and is about to remove the vector.
    assert!(late.as_mut().poll(context).is_pending());
    assert!(late.as_mut().poll(context).is_pending());
    world.stepping.store(false, Ordering::Relaxed);
    indexed_meanwhile.now_or_never().unwrap();
    late.now_or_never().unwrap();
    let record: Option<ImageRecord> = world.records.get(image_id()).now_or_never().unwrap().unwrap();
    let made: Job = world.queue.pop().expect("a job makes up for it");
    assert_eq!(made.source, job_for(&record.unwrap(), &model()).source);
}
