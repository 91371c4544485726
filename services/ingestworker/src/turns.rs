//! Two workers on the same processors, one of which goes first.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

/// Whoever lets another one go first doesn't stand still for longer, however much the other has to do.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How many jobs a worker has in hand.
#[derive(Debug, Clone, Default)]
pub struct Load(Arc<watch::Sender<usize>>);

/// A job in hand, until it is dropped.
pub(crate) struct InHand(Load);

impl Load {
    pub(crate) fn take(&self) -> InHand {
        self.0.send_modify(|jobs| *jobs += 1);
        InHand(self.clone())
    }

    /// Waits until nothing is in hand, for a while at most.
    pub(crate) async fn until_none(&self) {
        let _ = timeout(LONGEST_WAIT, self.0.subscribe().wait_for(|jobs| *jobs == 0)).await;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.0.send_modify(|jobs| *jobs -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_lets_another_go_first_waits_for_its_jobs_but_not_for_ever() {
        let load = Load::default();
        load.until_none().await;
        let jobs = [load.take(), load.take()];
        let begun = tokio::time::Instant::now();
        load.until_none().await;
        assert_eq!(begun.elapsed().as_secs(), LONGEST_WAIT.as_secs());
        let waiting = tokio::spawn({
            let load = load.clone();
            async move { load.until_none().await }
        });
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        drop(jobs);
        waiting.await.expect("no panic");
        assert_eq!(begun.elapsed().as_millis(), 0);
    }
}
