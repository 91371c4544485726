//! How many workers there should be: a pure function of what waits, of what was decided before, and of the time it is
//! given. More at once; fewer when fewer were enough for a whole window, as the HorizontalPodAutoscaler does it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Hold, Settings};

/// After a longer silence nobody knows what was needed in between.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// What must be remembered from one decision to the next. It holds at most one entry for each number of workers.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// For how long readings were there. Gaps don't count: in them, fewer workers were not seen to be enough.
    observed: Duration,
    last_reading: Option<Instant>,
    /// What was decided, and when in observed time. Oldest first; each is lower than the one before, since a lower one that
    /// is older can't be the highest of any window any more.
    window: VecDeque<(Duration, i32)>,
}

/// How many workers, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) replicas: i32,
    pub(super) reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// As many as the jobs ask for.
    Lag,
    /// The jobs ask for fewer than there must be.
    AtMinimum,
    /// The jobs ask for more than there may be.
    AtMaximum,
    /// The jobs ask for more than may be added at once.
    StepLimited,
    /// The jobs ask for fewer, but not for long enough.
    Delayed,
    /// Nobody knows what the jobs ask for, or workers could not work.
    Held(Hold),
}

/// `reading` is the number of jobs that wait or are in flight, or why nothing may be concluded from them. The answer is never
/// outside of the bounds, whatever `current` is.
pub(super) fn decide(
    state: &mut State,
    settings: &Settings,
    now: Instant,
    current: i32,
    reading: Result<u64, Hold>,
) -> Decision {
    let lag = match reading {
        Ok(lag) => lag,
        Err(hold) => {
            state.gap();
            return Decision { replicas: settings.bounded(current), reason: Reason::Held(hold) };
        }
    };
    state.advance(now);
    let asked = settings.asked(lag);
    let needed = settings.bounded(asked);
    let reachable = settings.bounded(current.saturating_add(settings.max_scale_up_step.max(1)));
    if state.window.is_empty() {
        // Whoever decided before this process may have seen what it has not.
        state.record(settings.bounded(current));
    }
    // What was out of reach isn't recorded: it would still be climbed to after the jobs are gone.
    state.record(needed.min(reachable));
    let replicas = settings.bounded(state.highest(settings.scale_down_delay).min(reachable));
    let reason = match replicas {
        _ if replicas < needed => Reason::StepLimited,
        _ if replicas > needed => Reason::Delayed,
        _ if asked < needed => Reason::AtMinimum,
        _ if asked > needed => Reason::AtMaximum,
        _ => Reason::Lag,
    };
    Decision { replicas, reason }
}

impl Settings {
    fn asked(&self, lag: u64) -> i32 {
        let target = u64::try_from(self.target_lag_per_replica).unwrap_or_default().max(1);
        i32::try_from(lag.div_ceil(target)).unwrap_or(i32::MAX)
    }

    fn bounded(&self, replicas: i32) -> i32 {
        replicas.max(self.min).min(self.max).max(0)
    }
}

impl State {
    /// No reading: the time until the next one doesn't count.
    pub(super) fn gap(&mut self) {
        self.last_reading = None;
    }

    fn advance(&mut self, now: Instant) {
        let step = self.last_reading.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if step <= LONGEST_STEP {
            self.observed += step;
        }
        self.last_reading = Some(now);
    }

    fn record(&mut self, replicas: i32) {
        while self.window.back().is_some_and(|(_, earlier)| *earlier <= replicas) {
            self.window.pop_back();
        }
        self.window.push_back((self.observed, replicas));
    }

    /// The highest within the window. The newest entry is never out of it.
    fn highest(&mut self, window: Duration) -> i32 {
        while self.window.front().is_some_and(|(at, _)| at.saturating_add(window) < self.observed) {
            self.window.pop_front();
        }
        self.window.front().map_or(0, |(_, replicas)| *replicas)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::crd::AutoscalingMode;

    const TICK: Duration = Duration::from_secs(2);

    fn settings(min: i32, max: i32) -> Settings {
        Settings {
            mode: AutoscalingMode::Lag,
            min,
            max,
            target_lag_per_replica: 100,
            max_scale_up_step: 4,
            scale_down_delay: Duration::from_mins(1),
        }
    }

    /// One stack whose Deployment follows each decision.
    struct Followed {
        settings: Settings,
        state: State,
        now: Instant,
        replicas: i32,
    }

    impl Followed {
        fn new(settings: Settings, replicas: i32) -> Self {
            Self { settings, state: State::default(), now: Instant::now(), replicas }
        }

        fn tick(&mut self, reading: Result<u64, Hold>) -> Decision {
            self.now += TICK;
            let decision = decide(&mut self.state, &self.settings, self.now, self.replicas, reading);
            self.replicas = decision.replicas;
            decision
        }

        /// How many ticks with this lag it takes until there are as many workers.
        fn ticks_until(&mut self, replicas: i32, lag: u64) -> usize {
            (1..1000).find(|_| self.tick(Ok(lag)).replicas == replicas).expect("it is reached at last")
        }
    }

    fn unreadable() -> Hold {
        Hold::new("QueueUnreachable", "no answer")
    }

    #[test]
    fn more_at_once_and_by_no_more_than_the_step() {
        let mut stack = Followed::new(settings(1, 20), 1);
        assert_eq!(stack.tick(Ok(300)), Decision { replicas: 3, reason: Reason::Lag });
        assert_eq!(stack.tick(Ok(301)), Decision { replicas: 4, reason: Reason::Lag });
        assert_eq!(stack.tick(Ok(1500)), Decision { replicas: 8, reason: Reason::StepLimited });
        assert_eq!(stack.tick(Ok(1500)).replicas, 12);
        assert_eq!(stack.tick(Ok(1500)), Decision { replicas: 15, reason: Reason::Lag });
        assert_eq!(stack.tick(Ok(u64::MAX)).replicas, 19);
        assert_eq!(stack.tick(Ok(u64::MAX)), Decision { replicas: 20, reason: Reason::AtMaximum });
    }

    #[test]
    fn what_was_out_of_reach_is_not_climbed_to_when_the_jobs_are_gone() {
        let mut stack = Followed::new(settings(1, 20), 1);
        assert_eq!(stack.tick(Ok(2000)).replicas, 5);
        assert_eq!(stack.tick(Ok(0)), Decision { replicas: 5, reason: Reason::Delayed });
    }

    #[test]
    fn fewer_only_when_they_were_enough_for_the_whole_window() {
        let mut stack = Followed::new(settings(1, 20), 5);
        assert_eq!(stack.tick(Ok(500)).replicas, 5);
        // 60 s in which 2 are enough begin with the first reading that says so.
        assert_eq!(stack.ticks_until(2, 200), 31);
        // The highest of the window, not the newest.
        let mut stack = Followed::new(settings(1, 20), 5);
        for lag in [500, 100, 300, 100] {
            assert_eq!(stack.tick(Ok(lag)).replicas, 5);
        }
        assert_eq!(stack.ticks_until(3, 100), 28);
        assert_eq!(stack.ticks_until(1, 100), 2);
    }

    #[test]
    fn none_when_idle_and_one_with_the_first_job() {
        let mut stack = Followed::new(settings(0, 20), 1);
        assert_eq!(stack.tick(Ok(1)).replicas, 1);
        assert_eq!(stack.ticks_until(0, 0), 31);
        assert_eq!(stack.tick(Ok(0)), Decision { replicas: 0, reason: Reason::Lag });
        assert_eq!(stack.tick(Ok(1)), Decision { replicas: 1, reason: Reason::Lag });
    }

    #[test]
    fn a_new_process_waits_a_whole_window() {
        let mut stack = Followed::new(settings(0, 20), 7);
        assert_eq!(stack.ticks_until(0, 0), 32);
    }

    #[test]
    fn holds_on_what_it_cannot_read_but_within_the_bounds() {
        let mut stack = Followed::new(settings(1, 20), 6);
        assert_eq!(stack.tick(Ok(600)).replicas, 6);
        let held = Decision { replicas: 6, reason: Reason::Held(unreadable()) };
        for _ in 0..1000 {
            assert_eq!(stack.tick(Err(unreadable())), held);
        }
        stack.settings.max = 3;
        assert_eq!(stack.tick(Err(unreadable())).replicas, 3);
        stack.settings.min = 2;
        stack.replicas = 0;
        assert_eq!(stack.tick(Err(unreadable())).replicas, 2);
    }

    #[test]
    fn time_without_a_reading_says_nothing_about_what_is_enough() {
        let mut stack = Followed::new(settings(0, 20), 6);
        stack.tick(Ok(600));
        for _ in 0..100 {
            stack.tick(Err(unreadable()));
        }
        assert_eq!(stack.ticks_until(0, 0), 32, "a gap of 200 s");
        stack.tick(Ok(600));
        stack.tick(Ok(600));
        stack.now += Duration::from_hours(1);
        assert_eq!(stack.ticks_until(0, 0), 32, "a process that stood still");
        // One missed reading costs the time of two, not a window.
        stack.tick(Ok(600));
        stack.tick(Ok(600));
        for _ in 0..15 {
            assert_eq!(stack.tick(Ok(0)).replicas, 6);
        }
        stack.tick(Err(unreadable()));
        assert_eq!(stack.ticks_until(0, 0), 17);
    }

    #[test]
    fn corrects_who_scales_by_hand() {
        let mut stack = Followed::new(settings(1, 20), 3);
        stack.tick(Ok(300));
        stack.replicas = 9;
        assert_eq!(stack.tick(Ok(100)).replicas, 3);
        stack.replicas = 0;
        assert_eq!(stack.tick(Ok(100)).replicas, 3, "3 were needed within the window");
        stack.replicas = 4000;
        assert_eq!(stack.tick(Ok(100)).replicas, 3);
    }

    #[test]
    fn bounds_that_change_apply_at_once() {
        let mut stack = Followed::new(settings(1, 20), 4);
        stack.tick(Ok(400));
        stack.settings.max = 2;
        assert_eq!(stack.tick(Ok(400)), Decision { replicas: 2, reason: Reason::AtMaximum });
        stack.settings = settings(12, 20);
        assert_eq!(stack.tick(Ok(400)), Decision { replicas: 12, reason: Reason::AtMinimum });
    }

    #[derive(Debug, Clone)]
    enum Event {
        Reading(u64),
        Unreadable,
        ByHand(i32),
        Bounds(i32, i32),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => (0_u64..3000).prop_map(Event::Reading),
            1 => any::<u64>().prop_map(Event::Reading),
            2 => Just(Event::Unreadable),
            1 => (-1_i32..40).prop_map(Event::ByHand),
            1 => (0_i32..6, 0_i32..20).prop_map(|(min, more)| Event::Bounds(min, min + more)),
        ]
    }

    proptest! {
        #[test]
        fn holds_its_promises_under_anything(
            events in prop::collection::vec((event(), 0_u64..15), 1..400),
            delay in 0_u64..90,
            step in 1_i32..8,
        ) {
            let mut settings = settings(1, 10);
            settings.scale_down_delay = Duration::from_secs(delay);
            settings.max_scale_up_step = step;
            let (mut state, mut now, mut current) = (State::default(), Instant::now(), 1);
            let mut needed_at: Vec<(Instant, i32)> = Vec::new();
            for (event, seconds) in events {
                now += Duration::from_secs(seconds);
                let reading = match event {
                    Event::Reading(lag) => Ok(lag),
                    Event::Unreadable => Err(unreadable()),
                    Event::ByHand(replicas) => { current = replicas; continue }
                    Event::Bounds(min, max) => { (settings.min, settings.max) = (min, max); continue }
                };
                let decision = decide(&mut state, &settings, now, current, reading.clone());
                let replicas = decision.replicas;
                prop_assert!((settings.min..=settings.max).contains(&replicas));
                prop_assert!(replicas <= current.saturating_add(step).max(settings.min), "more than a step");
                match reading {
                    Err(hold) => {
                        prop_assert_eq!(replicas, settings.bounded(current));
                        prop_assert_eq!(decision.reason, Reason::Held(hold));
                    }
                    Ok(lag) => {
                        let needed = settings.bounded(settings.asked(lag));
                        let reachable = settings.bounded(current.saturating_add(step));
                        needed_at.push((now, needed.min(reachable)));
                        let window = |at: &Instant| *at + settings.scale_down_delay >= now;
                        let least = needed_at.iter().filter(|(at, _)| window(at)).map(|(_, needed)| *needed).max();
                        prop_assert!(replicas >= least.unwrap_or_default().min(reachable).min(settings.max));
                        prop_assert!(replicas >= needed || decision.reason == Reason::StepLimited);
                    }
                }
                let kept: HashSet<i32> = state.window.iter().map(|(_, replicas)| *replicas).collect();
                prop_assert_eq!(kept.len(), state.window.len(), "one entry for each number");
                current = replicas;
            }
        }
    }
}
