//! The decision over whole loads, with workers that need time to start and to work: what one decision can't show, such as
//! flapping, and how long a job waits.
#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    Hold, Settings,
    decide::{State, decide},
};
use crate::crd::AutoscalingMode;

/// Seconds between two looks.
const TICK: usize = 2;
/// Seconds that a pod takes until it works.
const START: usize = 10;
/// Jobs that a worker does in a tick.
const DONE_A_TICK: usize = 20;
/// How often a job that fails is tried, and how many seconds it waits before the first of these; they double.
const TRIES: u32 = 5;
const FIRST_RETRY: usize = 2;
/// Seconds until a job is tried again that found a store away.
const STORE_RETRY: usize = 30;

/// A job: when it came, and how often it failed. Poison fails each time.
#[derive(Clone, Copy)]
struct Job {
    came: usize,
    poison: bool,
    failed: u32,
}

/// What happens in one tick.
#[derive(Debug, Clone, Copy, Default)]
struct Event {
    jobs: usize,
    poison: usize,
    /// The lag can't be read.
    unread: bool,
    /// A store is away, and the reconciler has seen it.
    store_away: bool,
}

struct Simulation {
    settings: Settings,
    state: State,
    began: Instant,
    second: usize,
    replicas: i32,
    /// When each pod works, in seconds. The newest last.
    pods: Vec<usize>,
    waiting: VecDeque<Job>,
    /// Jobs that are tried again at a second.
    delayed: Vec<(usize, Job)>,
    history: Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    second: usize,
    replicas: i32,
    lag: usize,
    /// How long the oldest job waits that was never tried, in seconds.
    oldest: usize,
    event: Event,
}

fn settings(min: i32, max: i32) -> Settings {
    Settings {
        mode: AutoscalingMode::Lag,
        min,
        max,
        target_lag_per_replica: 200,
        max_scale_up_step: 4,
        scale_down_delay: Duration::from_mins(1),
    }
}

impl Simulation {
    fn run(settings: Settings, events: impl IntoIterator<Item = Event>) -> Vec<Sample> {
        let replicas = settings.min;
        let mut this = Self {
            settings,
            state: State::default(),
            began: Instant::now(),
            second: 0,
            replicas,
            pods: vec![0; replicas as usize],
            waiting: VecDeque::new(),
            delayed: Vec::new(),
            history: Vec::new(),
        };
        for event in events {
            this.tick(event);
        }
        check(&this.settings, &this.history);
        this.history
    }

    fn tick(&mut self, event: Event) {
        self.second += TICK;
        let came = self.second;
        self.waiting.extend((0..event.jobs).map(|_| Job { came, poison: false, failed: 0 }));
        self.waiting.extend((0..event.poison).map(|_| Job { came, poison: true, failed: 0 }));
        self.work(event.store_away);
        let lag = self.waiting.len() + self.delayed.len();
        let reading = match event {
            Event { store_away: true, .. } => Err(Hold::new("StoreNotReady", "")),
            Event { unread: true, .. } => Err(Hold::new("QueueUnreachable", "")),
            _ => Ok(lag as u64),
        };
        let now = self.began + Duration::from_secs(self.second as u64);
        self.replicas = decide(&mut self.state, &self.settings, now, self.replicas, reading).replicas;
        self.pods.resize(self.replicas as usize, self.second + START);
        let fresh = self.waiting.iter().filter(|job| job.failed == 0);
        let oldest = fresh.map(|job| self.second - job.came).max().unwrap_or_default();
        self.history.push(Sample { second: self.second, replicas: self.replicas, lag, oldest, event });
    }

    fn work(&mut self, store_away: bool) {
        let second = self.second;
        let due = self.delayed.extract_if(.., |(due, _)| *due <= second);
        self.waiting.extend(due.map(|(_, job)| job));
        let workers = self.pods.iter().filter(|ready| **ready <= second).count();
        for _ in 0..workers * DONE_A_TICK {
            let Some(mut job) = self.waiting.pop_front() else { return };
            if store_away {
                self.delayed.push((second + STORE_RETRY, job));
            } else if job.poison {
                job.failed += 1;
                if job.failed < TRIES {
                    self.delayed.push((second + (FIRST_RETRY << job.failed), job));
                }
            }
        }
    }
}

/// What holds under every load.
fn check(settings: &Settings, history: &[Sample]) {
    let delay = settings.scale_down_delay.as_secs() as usize;
    let mut last_up = None;
    for pair in history.windows(2) {
        let (before, now) = (pair[0], pair[1]);
        assert!((settings.min..=settings.max).contains(&now.replicas), "{now:?}");
        if now.event.unread || now.event.store_away {
            assert_eq!(before.replicas, now.replicas, "moved without a reading: {now:?}");
        }
        if now.replicas > before.replicas {
            last_up = Some(now.second);
        } else if now.replicas < before.replicas {
            assert!(
                last_up.is_none_or(|up| up + delay <= now.second),
                "{before:?} {now:?} after one more at {last_up:?}"
            );
        }
    }
    let seconds = history.len() * TICK;
    assert!(turns(history) <= 2 * seconds / delay + 1, "{} turns in {seconds} s", turns(history));
}

/// How often the number of workers changed its direction.
fn turns(history: &[Sample]) -> usize {
    let steps = history.windows(2).map(|pair| (pair[1].replicas - pair[0].replicas).signum());
    let moves: Vec<i32> = steps.filter(|step| *step != 0).collect();
    moves.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// The numbers of workers that there were, in a row.
fn numbers(history: &[Sample]) -> Vec<i32> {
    let mut numbers: Vec<i32> = history.iter().map(|sample| sample.replicas).collect();
    numbers.dedup();
    numbers
}

fn most(history: &[Sample]) -> i32 {
    history.iter().map(|sample| sample.replicas).max().unwrap_or_default()
}

fn last(history: &[Sample]) -> Sample {
    history[history.len() - 1]
}

fn longest_wait(history: &[Sample]) -> usize {
    history.iter().map(|sample| sample.oldest).max().unwrap_or_default()
}

fn jobs(jobs: usize) -> Event {
    Event { jobs, ..Event::default() }
}

fn quiet(seconds: usize) -> impl Iterator<Item = Event> {
    std::iter::repeat_n(Event::default(), seconds / TICK)
}

#[test]
fn a_burst_goes_to_the_maximum_and_back_to_none() {
    let history = Simulation::run(settings(0, 10), [jobs(5000)].into_iter().chain(quiet(300)));
    // Ten workers take 50 s for 5000 jobs; they are there after three steps and a start.
    assert!(longest_wait(&history) <= 50 + START + 3 * TICK, "{}", longest_wait(&history));
    assert_eq!((most(&history), turns(&history), last(&history).replicas), (10, 1, 0));
}

/// Jobs in each 2 s as they came to a real queue: 500 uploads by eight clients that send again what is refused, while a worker,
/// NATS and the operator were killed (`make test-cluster` prints them).
const RECORDED: [usize; 13] = [127, 30, 19, 26, 0, 8, 23, 32, 30, 58, 55, 67, 25];

#[test]
fn a_recorded_load_is_met_at_once_and_let_go_in_one_go() {
    let settings = Settings { target_lag_per_replica: 50, scale_down_delay: Duration::from_secs(15), ..settings(0, 3) };
    let history = Simulation::run(settings, RECORDED.map(jobs).into_iter().chain(quiet(120)));
    assert_eq!((most(&history), turns(&history), last(&history).replicas), (3, 0, 0), "{:?}", numbers(&history));
    assert!(longest_wait(&history) <= 2 * START, "{}", longest_wait(&history));
}

#[test]
fn a_steady_load_is_met_and_left_alone() {
    // 70 jobs a second need seven workers.
    let history = Simulation::run(settings(1, 10), std::iter::repeat_n(jobs(70 * TICK), 600));
    let settled = &history[60..];
    assert!(settled.iter().all(|sample| sample.lag <= 200 * 8), "the lag is bounded");
    assert!(longest_wait(&history) <= 40, "{}", longest_wait(&history));
    assert_eq!(turns(settled), 0);
}

#[test]
fn a_load_between_two_numbers_of_workers_gets_now_one_now_the_other() {
    let history = Simulation::run(settings(1, 10), std::iter::repeat_n(jobs(75 * TICK), 1800));
    let settled = &history[150..];
    assert!(settled.iter().all(|sample| (7..=8).contains(&sample.replicas)), "{:?}", numbers(settled));
    assert!(turns(settled) <= settled.len() * TICK / 60, "{}", turns(settled));
    assert!(longest_wait(&history) <= 40, "{}", longest_wait(&history));
}

#[test]
fn a_load_beyond_all_workers_is_worked_off_when_it_ends() {
    let history = Simulation::run(settings(1, 4), std::iter::repeat_n(jobs(60 * TICK), 60).chain(quiet(600)));
    // 7200 jobs in two minutes, at 40 a second: three minutes, and the start.
    let done = history.iter().find(|sample| sample.second > 120 && sample.lag == 0).unwrap();
    assert!(done.second <= 180 + START + 2 * TICK, "{done:?}");
    assert_eq!((most(&history), last(&history).replicas), (4, 1));
}

#[test]
fn teeth_within_the_window_are_one_load() {
    for (period, height) in [(20, 500), (30, 800), (60, 1500)] {
        let events =
            (0..900).map(|tick| if (tick * TICK).is_multiple_of(period) { jobs(height) } else { Event::default() });
        let history = Simulation::run(settings(0, 10), events);
        let settled = &history[90..];
        assert_eq!(turns(settled), 0, "a tooth every {period} s: {:?}", numbers(settled));
    }
}

#[test]
fn teeth_beyond_the_window_are_loads_of_their_own() {
    for period in [90, 120, 300] {
        let events =
            (0..900).map(|tick| if (tick * TICK).is_multiple_of(period) { jobs(800) } else { Event::default() });
        let history = Simulation::run(settings(0, 10), events);
        assert!(turns(&history) <= 2 * (1800 / period), "a tooth every {period} s: {} turns", turns(&history));
        assert!(longest_wait(&history) <= 40, "{}", longest_wait(&history));
    }
}

#[test]
fn a_lag_that_swings_about_a_threshold_moves_nothing() {
    let events = (0..900).map(|tick| if tick < 10 { jobs(1) } else { jobs(19 + 2 * (tick % 2)) });
    let history = Simulation::run(settings(1, 10), events);
    assert_eq!(turns(&history[20..]), 0);
}

#[test]
fn poison_keeps_a_worker_while_it_is_tried_and_no_longer() {
    let poison = Event { poison: 30, ..Event::default() };
    let history = Simulation::run(settings(0, 10), [poison].into_iter().chain(quiet(300)));
    assert_eq!((most(&history), turns(&history), last(&history).replicas), (1, 0, 0));
    let dead = history.iter().find(|sample| sample.lag == 0).unwrap().second;
    let alone = history.iter().filter(|sample| sample.second < dead + 60);
    assert!(alone.clone().count() > 30 && alone.clone().all(|sample| sample.replicas == 1));
    // Much of it, that comes again and again: as many workers as any load of this size.
    let events = (0..600).map(|tick| Event { poison: if tick % 10 == 0 { 100 } else { 0 }, ..jobs(10) });
    let history = Simulation::run(settings(1, 10), events);
    assert!(turns(&history) <= 1 && longest_wait(&history) <= 40, "{} {}", turns(&history), longest_wait(&history));
}

#[test]
fn readings_that_fail_delay_and_never_mislead() {
    let every_third = |(tick, event): (usize, Event)| Event { unread: tick % 3 == 0, ..event };
    let burst = || [jobs(3000)].into_iter().chain(quiet(600)).enumerate();
    let history = Simulation::run(settings(0, 10), burst().map(every_third));
    assert_eq!((most(&history), turns(&history), last(&history).replicas), (10, 1, 0));
    // Nobody sees how the burst ends.
    let history = Simulation::run(
        settings(0, 10),
        burst().map(|(tick, event)| Event { unread: (10..160).contains(&tick), ..event }),
    );
    assert!(history[10..160].iter().all(|sample| sample.replicas == 10));
    assert_eq!((turns(&history), last(&history).replicas), (1, 0));
    let left = history.iter().find(|sample| sample.second > 100 && sample.replicas < 10).unwrap().second;
    assert!(left >= 160 * TICK + 60, "the window begins when the lag is read again: {left}");
}

#[test]
fn an_outage_of_a_store_scales_nothing_and_its_jobs_are_done_afterwards() {
    let events =
        (0..600).map(|tick| Event { store_away: (20..110).contains(&tick), ..jobs(if tick < 300 { 20 } else { 0 }) });
    let history = Simulation::run(settings(1, 10), events);
    let during = &history[20..110];
    assert!(during.iter().all(|sample| sample.replicas == during[0].replicas));
    assert!(during[during.len() - 1].lag >= 1500, "the jobs wait");
    let caught_up = history.iter().find(|sample| sample.second > 240 && sample.lag <= 40).unwrap();
    assert!(caught_up.second <= 220 + 120, "{caught_up:?}");
    assert_eq!((turns(&history), last(&history).replicas), (1, 1));
}

fn load() -> impl Strategy<Value = Vec<Event>> {
    // Stretches of the same, as loads are.
    let stretch = (
        1_usize..50,
        prop_oneof![2 => Just(0_usize), 3 => 0_usize..100, 1 => 100_usize..400],
        prop_oneof![4 => Just(0_usize), 1 => 0_usize..20],
        prop_oneof![5 => Just((false, false)), 1 => Just((true, false)), 1 => Just((false, true))],
    );
    prop::collection::vec(stretch, 1..16).prop_map(|stretches| {
        let event = |(ticks, jobs, poison, (unread, store_away))| {
            std::iter::repeat_n(Event { jobs, poison, unread, store_away }, ticks)
        };
        stretches.into_iter().flat_map(event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_load_makes_it_flap_or_leave_its_bounds_and_every_load_ends(
        load in load(), min in 0_i32..3, more in 1_i32..20,
    ) {
        // Time for what is left: all jobs, by a single worker.
        let jobs: usize = load.iter().map(|event| event.jobs + event.poison * TRIES as usize).sum();
        let seconds = jobs / DONE_A_TICK * TICK + 300;
        let history = Simulation::run(settings(min, min + more), load.into_iter().chain(quiet(seconds)));
        prop_assert_eq!((last(&history).lag, last(&history).replicas), (0, min));
    }
}
