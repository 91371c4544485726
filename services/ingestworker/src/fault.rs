//! What can go wrong with a job, and whether another try can mend it.

use std::time::Duration;

use backends::queue::Outcome;
use shared::{FailureCode, TaskFailure};

/// Why a job is not indexed by this delivery.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The same every time: over, with a reason.
    Permanent(TaskFailure),
    /// A server is away or slow: again later, not before `after` if it asked for that.
    Transient { reason: TaskFailure, after: Option<Duration> },
    /// A store failed. If it is away, this says nothing about the job; else it is like any other transient fault.
    Store(TaskFailure),
    /// The job is another worker's now; nothing may be said about it.
    LeaseLost,
}

impl Fault {
    pub(crate) fn permanent(code: FailureCode, detail: impl Into<String>) -> Self {
        Self::Permanent(TaskFailure { code, detail: detail.into() })
    }

    pub(crate) fn transient(error: &dyn std::error::Error) -> Self {
        Self::Transient { reason: internal(error), after: None }
    }

    pub(crate) fn store(error: &dyn std::error::Error) -> Self {
        Self::Store(internal(error))
    }
}

fn internal(error: &dyn std::error::Error) -> TaskFailure {
    TaskFailure { code: FailureCode::Internal, detail: error.to_string() }
}

/// How a delivery goes on after a fault.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    End(Outcome),
    Retry { delay: Duration, reason: TaskFailure },
    Leave,
}

/// When and how often a job is tried again.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// No server can put a job off for longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

impl RetryPolicy {
    /// `attempt` counts from 1.
    pub(crate) fn verdict(&self, fault: Fault, attempt: u32) -> Verdict {
        match fault {
            Fault::LeaseLost => Verdict::Leave,
            Fault::Permanent(failure) => Verdict::End(Outcome::Failed(failure)),
            Fault::Transient { reason, .. } | Fault::Store(reason) if attempt >= self.max_attempts => {
                Verdict::End(exhausted(attempt, &reason))
            }
            Fault::Store(reason) => Verdict::Retry { delay: self.delay(attempt), reason },
            Fault::Transient { reason, after } => {
                let asked = after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                Verdict::Retry { delay: self.delay(attempt).max(asked), reason }
            }
        }
    }

    /// Doubles with every attempt; the random half spreads the tries of jobs that failed together.
    fn delay(&self, attempt: u32) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.max).mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// The end of a job that was begun as often as allowed.
fn exhausted(attempts: u32, last: &TaskFailure) -> Outcome {
    let detail = format!("gave up after {attempts} attempts; the last one: {}", last.detail);
    Outcome::Failed(TaskFailure { code: FailureCode::RetriesExhausted, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { max_attempts: 4, min: Duration::from_millis(100), max: Duration::from_secs(1) };

    fn away(after: Option<Duration>) -> Fault {
        Fault::Transient { reason: TaskFailure { code: FailureCode::FetchFailed, detail: "away".into() }, after }
    }

    fn delay(attempt: u32, after: Option<Duration>) -> Duration {
        match POLICY.verdict(away(after), attempt) {
            Verdict::Retry { delay, .. } => delay,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delays_double_up_to_the_longest_and_keep_at_least_half() {
        for (attempt, full_ms) in [(1, 100), (2, 200), (3, 400)] {
            let full = Duration::from_millis(full_ms);
            assert!((full / 2..=full).contains(&delay(attempt, None)));
        }
        let patient = RetryPolicy { max_attempts: 1000, ..POLICY };
        assert!(patient.delay(900) <= POLICY.max);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_within_reason() {
        assert_eq!(delay(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(delay(1, Some(Duration::from_secs(1 << 40))), LONGEST_RETRY_AFTER);
    }

    #[test]
    fn the_last_attempt_ends_with_the_last_fault() {
        let Verdict::End(Outcome::Failed(failure)) = POLICY.verdict(away(None), 4) else { panic!("not ended") };
        assert_eq!(failure.code, FailureCode::RetriesExhausted);
        assert!(failure.detail.contains("away"));
    }

    #[test]
    fn a_permanent_fault_ends_the_first_attempt() {
        let verdict = POLICY.verdict(Fault::permanent(FailureCode::Corrupt, "cut"), 1);
        assert!(matches!(verdict, Verdict::End(Outcome::Failed(failure)) if failure.code == FailureCode::Corrupt));
        assert_eq!(POLICY.verdict(Fault::LeaseLost, 1), Verdict::Leave);
    }
}
