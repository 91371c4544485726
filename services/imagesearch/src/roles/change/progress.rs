//! How far a change is: images, rate and time left.

use std::time::Duration;

use embedding::source;
use shared::model::{ChangePhase, ModelChange, ModelChoice, ModelStatus};
use tokio::time::Instant;

use super::filling::Seen;

/// The rate is that of the last while: uploads and searches change what is left of the machine.
const WINDOW: Duration = Duration::from_secs(10);

/// What was seen of a collection that fills.
pub(super) struct Progress {
    /// When so many images were there: at the begin of the window, and lately.
    begin: Option<(Instant, u64)>,
    middle: Option<(Instant, u64)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begin: None, middle: None }
    }

    pub(super) fn told(&mut self, to: ModelChoice, seen: Seen) -> ModelChange {
        let Seen { indexed, images } = seen;
        let rate = self.rate(Instant::now(), indexed);
        let lacking = seen.lacking();
        let indexed = indexed.min(images);
        ModelChange {
            to,
            phase: ChangePhase::Indexing,
            indexed,
            images,
            images_per_s: rate,
            seconds_left: rate.filter(|rate| *rate > 0.0).map(|rate| (lacking as f64 / rate).ceil() as u64),
            reason: None,
        }
    }

    fn rate(&mut self, now: Instant, indexed: u64) -> Option<f64> {
        let (begun, at_begin) = *self.begin.get_or_insert((now, indexed));
        let middle = *self.middle.get_or_insert((now, indexed));
        if now - middle.0 > WINDOW / 2 {
            (self.begin, self.middle) = (Some(middle), Some((now, indexed)));
        }
        let seconds = (now - begun).as_secs_f64();
        (seconds > 1.0).then(|| indexed.saturating_sub(at_begin) as f64 / seconds)
    }
}

/// Keeps what is known of how far the same change is.
pub(super) fn set_phase(status: &mut ModelStatus, to: &ModelChoice, phase: ChangePhase, reason: Option<String>) {
    let known = status.change.take().filter(|change| change.to.source == source::shown(&to.source));
    let fresh = ModelChange {
        to: to.clone(),
        phase,
        indexed: 0,
        images: 0,
        images_per_s: None,
        seconds_left: None,
        reason: None,
    };
    status.change = Some(ModelChange { phase, reason, ..known.unwrap_or(fresh) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let (mut progress, begin) = (Progress::new(), Instant::now());
        let mut rate = |second: u64, indexed| progress.rate(begin + Duration::from_secs(second), indexed);
        assert_eq!(rate(0, 0), None);
        assert_eq!(rate(4, 400), Some(100.0));
        // From here on nothing comes.
        for second in 5..30 {
            rate(second, 400);
        }
        assert_eq!(rate(30, 400), Some(0.0));
    }
}
