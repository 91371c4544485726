//! What is said of a stack's scaling, and when it has changed enough to be said again: each time is a write to the API server,
//! and a busy queue never stands still.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use super::{Hold, Lag, Progress};
use crate::crd::AutoscalingMode;

/// Numbers that only move are said again no sooner than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// What is to be said of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    pub mode: AutoscalingMode,
    /// What was read last; none before the first reading.
    pub backlog: Option<Backlog>,
    /// What was told last of a second model.
    pub progress: Option<Progress>,
    /// Workers that there should be; none when somebody else says.
    pub desired: Option<i32>,
    /// Whether the lag is known and acted on. With a mode other than `Lag`, whether it is known.
    pub active: Result<(), Hold>,
}

/// Jobs, rounded to two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub pending: u64,
    pub in_flight: u64,
    /// In whole seconds.
    pub oldest_job_since: Option<Timestamp>,
}

impl From<Lag> for Backlog {
    fn from(lag: Lag) -> Self {
        let second = |since: Timestamp| Timestamp::from_second(since.as_second()).unwrap_or(since);
        Self {
            pending: two_digits(lag.pending),
            in_flight: two_digits(lag.in_flight),
            oldest_job_since: lag.oldest_since.map(second),
        }
    }
}

fn two_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or_default().saturating_sub(1));
    (number / unit + u64::from(number % unit * 2 >= unit && unit > 1)) * unit
}

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Shown(Option<(Scaling, Instant)>);

impl Shown {
    pub(super) fn scaling(&self) -> Option<&Scaling> {
        self.0.as_ref().map(|(scaling, _)| scaling)
    }

    /// Takes over what is worth saying now; false when that is nothing.
    pub(super) fn update(&mut self, seen: Scaling, now: Instant) -> bool {
        let worth = match &self.0 {
            None => true,
            Some((shown, at)) => {
                *shown != seen && (at_once(shown, &seen) || now.saturating_duration_since(*at) >= AT_MOST_EVERY)
            }
        };
        if worth {
            self.0 = Some((seen, now));
        }
        worth
    }
}

/// Good news can wait, or a server that answers every other time would make a write of each.
fn at_once(shown: &Scaling, seen: &Scaling) -> bool {
    let worse = match (&shown.active, &seen.active) {
        (_, Ok(())) => false,
        (Ok(()), Err(_)) => true,
        (Err(shown), Err(seen)) => shown.reason != seen.reason,
    };
    worse || shown.desired != seen.desired || shown.mode != seen.mode
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(pending: u64) -> Scaling {
        let lag = Lag { pending, in_flight: 0, oldest_since: None };
        Scaling {
            mode: AutoscalingMode::Lag,
            backlog: Some(lag.into()),
            progress: None,
            desired: Some(1),
            active: Ok(()),
        }
    }

    fn held(reason: &'static str, message: &str) -> Scaling {
        Scaling { active: Err(Hold::new(reason, message)), ..scaling(5) }
    }

    #[test]
    fn two_digits_are_kept() {
        let rounded =
            [(0, 0), (7, 7), (99, 99), (104, 100), (105, 110), (412, 410), (994, 990), (995, 1000), (87_213, 87_000)];
        for (number, expected) in rounded {
            assert_eq!(two_digits(number), expected, "{number}");
        }
        assert_eq!(two_digits(1_849_999_999_999_999_999), 1_800_000_000_000_000_000);
    }

    #[test]
    fn a_moving_lag_is_said_every_ten_seconds_and_its_end_too() {
        let (mut shown, start) = (Shown::default(), Instant::now());
        let lags = [120, 300, 500, 700, 900, 1100, 900, 0, 0, 0, 0, 0, 0, 0, 0];
        let said: Vec<bool> = lags
            .into_iter()
            .enumerate()
            .map(|(tick, lag)| shown.update(scaling(lag), start + Duration::from_secs(2) * tick as u32))
            .collect();
        let times: Vec<usize> = said.iter().enumerate().filter(|(_, said)| **said).map(|(tick, _)| tick).collect();
        assert_eq!(times, [0, 5, 10]);
        assert_eq!(shown.scaling(), Some(&scaling(0)));
    }

    #[test]
    fn a_lag_that_rounds_to_the_same_is_not_said_again() {
        let (mut shown, start) = (Shown::default(), Instant::now());
        assert!(shown.update(scaling(1200), start));
        assert!(!shown.update(scaling(1249), start + Duration::from_mins(5)));
        assert!(shown.update(scaling(1250), start + Duration::from_mins(5)));
    }

    #[test]
    fn another_number_of_workers_and_trouble_are_said_at_once() {
        let (mut shown, now) = (Shown::default(), Instant::now());
        assert!(shown.update(scaling(5), now));
        assert!(shown.update(Scaling { desired: Some(2), ..scaling(5) }, now));
        assert!(shown.update(held("QueueUnreachable", "timed out"), now));
        assert!(shown.update(held("StoreNotReady", "Milvus is not ready"), now));
        assert!(!shown.update(held("StoreNotReady", "MinIO is not ready"), now), "another sentence can wait");
        assert!(!shown.update(scaling(5), now + Duration::from_secs(9)), "so can good news");
        assert!(shown.update(scaling(5), now + Duration::from_secs(10)));
    }
}
