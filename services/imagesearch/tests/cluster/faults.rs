//! Something is killed, paused, full or away while images come in and go: what was acknowledged is indexed once, what was
//! deleted stays away, nothing is left over, and clients are told when to come again.

mod crashes;
mod gate;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use shared::FailureCode;

use crate::{
    cluster::{Cluster, DEADLINE, Stores, again, fixture, photos},
    load::{Load, Promises},
};

/// Uploads while one thing goes wrong.
const UPLOADS: usize = 500;
/// Acknowledged before it does.
const BEFORE: usize = 100;
/// How long the index has for an answer unless it is set otherwise, and as much again for a machine that is busy.
const REFUSED_AFTER: Duration = Duration::from_secs(20);
/// More than a worker can have ended without anybody having heard of it yet.
const ENDED_UNHEARD: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Store {
    Nats,
    S3,
    Milvus,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    KillWorker,
    KillIngestapi,
    KillSearchapi,
    KillCdnapi,
    /// SIGTERM, and started again.
    Restart(Store),
    Kill(Store),
    /// SIGSTOP for half a minute: connections stay, nothing answers.
    Pause(Store),
    MilvusAwayForAMinute,
    MilvusLosesItsVolume,
    S3RefusesWrites,
    /// A worker is stopped for longer than its leases and goes on with jobs that another one has done.
    TwoWorkersOneJob,
    /// Killed when the bytes of some uploads are stored and their jobs are not queued.
    CrashBeforeQueueing,
    PoisonAmongGoodImages,
}

/// Those that a user is likeliest to meet.
const LIKELIEST: [Fault; 6] = [
    Fault::KillWorker,
    Fault::KillIngestapi,
    Fault::Kill(Store::Nats),
    Fault::Kill(Store::S3),
    Fault::Kill(Store::Milvus),
    Fault::PoisonAmongGoodImages,
];

const OTHERS: [Fault; 13] = [
    Fault::KillSearchapi,
    Fault::KillCdnapi,
    Fault::Restart(Store::Nats),
    Fault::Restart(Store::S3),
    Fault::Restart(Store::Milvus),
    Fault::Pause(Store::Nats),
    Fault::Pause(Store::S3),
    Fault::Pause(Store::Milvus),
    Fault::MilvusAwayForAMinute,
    Fault::MilvusLosesItsVolume,
    Fault::S3RefusesWrites,
    Fault::TwoWorkersOneJob,
    Fault::CrashBeforeQueueing,
];

#[tokio::test(flavor = "multi_thread")]
async fn the_likeliest_faults_lose_nothing_and_bring_nothing_back() {
    survive(&LIKELIEST).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour; `make test-all` runs it"]
async fn no_other_fault_does_either() {
    survive(&OTHERS).await;
}

/// One at a time, on one cluster that keeps what it has. `FAULTS` picks those whose name has it in it.
async fn survive(faults: &[Fault]) {
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let faults = faults.iter().filter(|fault| format!("{fault:?}").contains(&wanted));
    let mut cluster = Cluster::start(2).await;
    let mut promises = Promises::default();
    for (number, fault) in faults.enumerate() {
        let started = Instant::now();
        let left = cluster.stores.unfinished_uploads().await;
        let load = Load::start(&cluster, number * UPLOADS, UPLOADS);
        load.until(BEFORE).await;
        fault.happen(&mut cluster, &mut promises).await;
        println!("{fault:?}: over after {:?}, {} of {UPLOADS} acknowledged", started.elapsed(), load.acknowledged());
        promises.add(load.finish().await);
        promises.check(&mut cluster).await;
        if !fault.may_leave_parts() {
            cluster.stores.until_no_more_is_left_than(&left).await;
        }
        println!("{fault:?}: survived after {:?}", started.elapsed());
    }
}

impl Fault {
    /// Makes it happen, and ends it.
    async fn happen(self, cluster: &mut Cluster, promises: &mut Promises) {
        let stores = &mut cluster.stores;
        match self {
            Self::KillWorker => kill(&mut cluster.workers[0]),
            Self::KillIngestapi => kill(&mut cluster.ingestapi),
            Self::KillSearchapi => kill(&mut cluster.searchapi),
            Self::KillCdnapi => kill(&mut cluster.cdnapi),
            Self::Restart(store) => store.of(stores).restart_in_order().await,
            Self::Kill(store) => store.of(stores).restart().await,
            Self::Pause(store) => {
                store.of(stores).pause();
                tokio::time::sleep(Duration::from_secs(30)).await;
                store.of(stores).resume();
                // Milvus finds that its sessions have run out, and ends so that it is started again.
                store.of(stores).supervise(Duration::from_secs(5)).await;
            }
            Self::MilvusAwayForAMinute => {
                stores.milvus.kill();
                tokio::time::sleep(Duration::from_mins(1)).await;
                stores.milvus.restart().await;
            }
            Self::MilvusLosesItsVolume => {
                stores.milvus.forget();
                stores.milvus.restart().await;
            }
            Self::S3RefusesWrites => {
                servers::refuse_writes(&mut stores.s3).await;
                tokio::time::sleep(Duration::from_secs(15)).await;
                servers::allow_writes(&mut stores.s3).await;
            }
            Self::TwoWorkersOneJob => give_two_workers_one_job(cluster).await,
            Self::CrashBeforeQueueing => crash_before_queueing(cluster).await,
            Self::PoisonAmongGoodImages => poison(cluster, promises).await,
        }
    }

    /// Of uploads that are larger than one part: nobody is there to remove them, or nobody to remove them from.
    fn may_leave_parts(self) -> bool {
        let of_the_bucket =
            [Self::Restart(Store::S3), Self::Kill(Store::S3), Self::Pause(Store::S3), Self::S3RefusesWrites];
        of_the_bucket.contains(&self) || [Self::KillIngestapi, Self::CrashBeforeQueueing].contains(&self)
    }
}

impl Store {
    fn of(self, stores: &mut Stores) -> &mut servers::Server {
        match self {
            Self::Nats => &mut stores.nats,
            Self::S3 => &mut stores.s3,
            Self::Milvus => &mut stores.milvus,
        }
    }
}

fn kill(process: &mut crate::cluster::Process) {
    process.kill();
    process.start_again();
}

/// The uploads of the load wait in it too: they are sent again, as clients do that heard nothing.
async fn crash_before_queueing(cluster: &mut Cluster) {
    cluster.stores.nats.pause();
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.ingestapi.kill();
    cluster.stores.nats.resume();
    cluster.ingestapi.start_again();
}

/// The first worker is stopped while it has jobs, until the second has done one of them, and goes on.
async fn give_two_workers_one_job(cluster: &mut Cluster) {
    for worker in &mut cluster.workers {
        assert_eq!(worker.stop(), Some(0), "a drain ends well");
    }
    cluster.until_queued(64).await;
    cluster.workers[0].start_again();
    let held = pause_with_jobs(cluster).await;
    cluster.workers[1].start_again();
    let started = Instant::now();
    'look: loop {
        for task_id in &held {
            let task = cluster.task(task_id).await;
            if task["attempts"].as_u64() >= Some(2) && task["status"] == "indexed" {
                break 'look;
            }
        }
        assert!(started.elapsed() < DEADLINE, "no job of a worker that was stopped is done by the other one");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.workers[0].resume();
}

/// Stops the first worker, the only one, while it has jobs; these.
async fn pause_with_jobs(cluster: &Cluster) -> Vec<String> {
    let started = Instant::now();
    loop {
        cluster.workers[0].pause();
        let held = cluster.tasks_that_are("processing").await;
        if held.len() > ENDED_UNHEARD {
            return held.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()).collect();
        }
        cluster.workers[0].resume();
        assert!(started.elapsed() < DEADLINE, "a worker takes only {} jobs", held.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Images that are taken, since their first bytes are an image's, and declare more than they have or may have.
async fn poison(cluster: &Cluster, promises: &mut Promises) {
    for number in 0..6 {
        let (name, code) = [
            ("declares_100000x100000.png", FailureCode::TooLarge),
            ("declares_100000x100000.avif", FailureCode::TooLarge),
            ("declares_16x16.avif", FailureCode::Corrupt),
        ][number % 3];
        let upload = cluster.upload(name, again(&fixture(name), number)).await;
        assert_eq!(upload["status"], "queued");
        promises.expect_failed(upload["task_id"].as_str().unwrap(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_milvus_is_away_searches_say_so_and_pictures_are_served() {
    let mut cluster = Cluster::start(1).await;
    let (name, bytes) = photos().swap_remove(0);
    let id = cluster.upload(&name, bytes.clone()).await["image_id"].as_str().unwrap().to_owned();
    cluster.until_idle().await;
    cluster.stores.milvus.kill();

    let search = cluster.http.get(cluster.searchapi.url("/api/v1/image/search?text=a%20castle")).send().await.unwrap();
    assert_eq!(search.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(search.headers().contains_key("retry-after"));
    let problem: serde_json::Value = search.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("index"), "{problem}");
    let picture = cluster.http.get(cluster.cdnapi.url(&format!("/images/{id}"))).send().await.unwrap();
    assert_eq!((picture.status(), picture.bytes().await.unwrap()), (StatusCode::OK, bytes.into()));
    // Uploads go on; they are indexed once it is back.
    let (name, bytes) = photos().swap_remove(1);
    assert_eq!(cluster.upload(&name, bytes).await["status"], "queued");

    cluster.stores.milvus.restart().await;
    cluster.until_ready().await;
    let counts = cluster.until_idle().await;
    assert_eq!((&counts["indexed"], &counts["failed"]), (&2.into(), &0.into()), "{counts}");
    assert_eq!(cluster.indexed().await.len(), 2);
}

/// A store that hangs takes every request to its deadline. Once that has been noticed nobody waits for it any more, so that
/// there is room for what needs no index.
#[tokio::test(flavor = "multi_thread")]
async fn while_milvus_hangs_searches_are_refused_at_once() {
    let cluster = Cluster::start(1).await;
    cluster.stores.milvus.pause();
    let search = async || cluster.http.get(cluster.searchapi.url("/api/v1/image/search?text=a%20castle")).send().await;
    let refused = async || {
        let asked = Instant::now();
        let answer = search().await.unwrap();
        let (status, after) = (answer.status(), asked.elapsed());
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((status, &problem["store"]), (StatusCode::SERVICE_UNAVAILABLE, &"index".into()), "{problem}");
        assert!(after < REFUSED_AFTER, "refused after {after:?}");
        after
    };
    refused().await;
    let started = Instant::now();
    // A tenth of the deadline that the index has for an answer.
    while refused().await > Duration::from_secs(1) {
        assert!(started.elapsed() < DEADLINE, "every search waits for an index that hangs");
    }
    let described = cluster.http.get(cluster.searchapi.url("/openapi.json")).send().await.unwrap();
    assert_eq!(described.status(), StatusCode::OK);
    cluster.stores.milvus.resume();
    let started = Instant::now();
    while search().await.unwrap().status() != StatusCode::OK {
        assert!(started.elapsed() < DEADLINE, "searches are refused although the index is back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_drops_nothing() {
    let more = [("IMAGESEARCH_QUEUE__MAX_JOBS", "20")];
    let mut cluster = Cluster::start_with(Stores::start().await, 1, &more);
    cluster.until_ready().await;
    cluster.workers[0].pause();
    let load = Load::start(&cluster, 0, 60);
    load.until(10).await;
    let photo = &photos()[0].1;
    let started = Instant::now();
    let mut number = 1_000_000;
    let refused = loop {
        number += 1;
        let answer = cluster.try_upload("one_too_many.jpg", again(photo, number)).await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert!(started.elapsed() < DEADLINE, "the queue takes more than its limit");
    };
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "https://imagesearch.dev/problems/queue-full");
    cluster.workers[0].resume();
    let mut promises = load.finish().await;
    // Refused is not the same as not stored: it may have been full only once the image was there. What the load brought in
    // may still fill the queue.
    let started = Instant::now();
    loop {
        let answer = cluster.try_upload("one_too_many.jpg", again(photo, number)).await.unwrap();
        if answer.status() == StatusCode::ACCEPTED {
            break;
        }
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(started.elapsed() < DEADLINE, "a queue that is worked on stays full");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for number in 1_000_001..=number {
        promises.acknowledge(shared::ImageId::of(&again(photo, number)).to_string());
    }
    promises.check(&mut cluster).await;
    cluster.stores.until_no_more_is_left_than(&BTreeSet::new()).await;
}

/// Eight workers on one queue, coming and going: every job is begun once.
#[tokio::test(flavor = "multi_thread")]
async fn workers_scale_without_double_work() {
    const IMAGES: usize = 400;
    let mut cluster = Cluster::start(1).await;
    let load = Load::start(&cluster, 1, IMAGES);
    for _ in 1..8 {
        cluster.add_worker(&[]);
    }
    cluster.until_ready().await;
    load.until(IMAGES / 2).await;
    for mut worker in cluster.workers.split_off(2) {
        assert_eq!(worker.stop(), Some(0), "a drain ends well");
    }
    load.finish().await.check(&mut cluster).await;
    cluster.stores.until_no_more_is_left_than(&BTreeSet::new()).await;
    let mut begun = 0;
    for task in cluster.tasks().await {
        assert!(task["attempts"].as_u64().unwrap() <= 1, "worked on twice: {task}");
        begun += 1;
    }
    assert!(begun >= IMAGES, "{begun} tasks");
}

/// Tasks are forgotten by the server's clock, whatever those of the processes say. Wrong by ten minutes: S3 refuses requests
/// of clocks that are wrong by more than fifteen.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime; `make test-all` runs it"]
async fn a_wrong_clock_expires_no_task() {
    const IMAGES: usize = 100;
    let library = std::env::var("LIBFAKETIME").expect("the path of libfaketime.so.1 in LIBFAKETIME");
    let keep = ("IMAGESEARCH_QUEUE__KEEP_TASKS_FOR_S", "300");
    let clock = |wrong| [keep, ("LD_PRELOAD", &*library), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("FAKETIME", wrong)];
    let mut cluster = Cluster::start_with(Stores::start().await, 0, &[keep]);
    cluster.add_worker(&clock("-10m"));
    cluster.until_ready().await;
    let mut promises = Promises::default();
    for (round, wrong) in [None, Some("+10m")].into_iter().enumerate() {
        if let Some(wrong) = wrong {
            cluster.restart_ingestapi(&clock(wrong)).await;
        }
        let load = Load::start(&cluster, 1 + round * IMAGES, IMAGES);
        promises.add(load.finish().await);
        promises.check(&mut cluster).await;
        let tasks = cluster.tasks().await;
        assert!(tasks.len() >= (1 + round) * IMAGES, "only {} tasks are left", tasks.len());
        let ahead = tasks.iter().filter(|task| task["updated"].as_str() < task["created"].as_str()).count();
        assert!(ahead > 0, "the clocks of the processes don't differ");
    }
}
