//! Bringing into one collection what another one has.

use std::{collections::HashSet, sync::Arc, time::Duration};

use backends::{
    Stores,
    fill::{fill, lacking},
    index::Collection,
};
use shared::{ImageId, Version};
use tokio::time::{Instant, sleep};

use super::fault::ChangeFault;

/// Between two looks at how far the new collection is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Images that may still be lacking when it is looked at image by image.
const NEARLY: u64 = 32;
/// A fill that brings no image nearer for so long is begun anew.
const NO_PROGRESS: Duration = Duration::from_secs(10);
/// Such fills in a row, after which what is lacking will not come.
const MAX_VAIN_FILLS: u32 = 3;
/// For the images to come that are lacking when it is looked at image by image.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const COMPARE_EVERY: Duration = Duration::from_millis(500);
/// Such images that are kept in mind: more are better filled.
const MOST_AWAITED: usize = 10_000;

/// Two collections, of which the next one is to have all that the current one has.
pub(super) struct Filling {
    stores: Stores,
    current: Arc<dyn Collection>,
    next: Arc<dyn Collection>,
    stray_after: Duration,
    vain_fills: VainFills,
}

/// Fills in a row whose jobs have ended and brought no image nearer. One that made no jobs tells nothing: those of before still
/// wait, since workers of other processes come when they come.
#[derive(Default)]
struct VainFills(u32);

impl VainFills {
    /// Whether what is lacking will not come.
    fn are_enough(&mut self, made_jobs: u64, is_nearer: bool) -> bool {
        match (is_nearer, made_jobs) {
            (true, _) => self.0 = 0,
            (false, 0) => {}
            (false, _) => self.0 += 1,
        }
        self.0 >= MAX_VAIN_FILLS
    }
}

/// By their numbers, what the next collection has and what it is to have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) indexed: u64,
    pub(super) images: u64,
}

impl Seen {
    pub(super) fn lacking(self) -> u64 {
        self.images.saturating_sub(self.indexed)
    }
}

impl Filling {
    pub(super) fn new(
        stores: Stores,
        current: Arc<dyn Collection>,
        next: Arc<dyn Collection>,
        stray_after: Duration,
    ) -> Self {
        Self { stores, current, next, stray_after, vain_fills: VainFills::default() }
    }

    /// Whether, by their numbers, little enough is lacking to look image by image.
    pub(super) async fn is_near(&self, tell: &mut impl FnMut(Seen)) -> Result<bool, ChangeFault> {
        Ok(self.look(tell).await?.lacking() <= NEARLY)
    }

    /// Whether all that the current collection has now comes to be in the next one within a moment: what is indexed from now
    /// on has a job for each.
    pub(super) async fn catches_up(&self) -> Result<bool, ChangeFault> {
        let begun = Instant::now();
        let mut awaited = self.lacking(MOST_AWAITED).await?;
        while !awaited.is_empty() {
            if awaited.len() == MOST_AWAITED || begun.elapsed() > LONGEST_WAIT {
                return Ok(false);
            }
            sleep(COMPARE_EVERY).await;
            let lacking = self.lacking(MOST_AWAITED).await?;
            awaited.retain(|image| lacking.contains(image));
        }
        Ok(true)
    }

    pub(super) async fn has_all(&self) -> Result<bool, ChangeFault> {
        Ok(self.lacking(1).await?.is_empty())
    }

    async fn lacking(&self, most: usize) -> Result<HashSet<(ImageId, Version)>, ChangeFault> {
        Ok(lacking(self.current.as_ref(), self.next.as_ref(), most).await?)
    }

    /// Makes jobs for what is lacking, and waits until nothing more comes.
    ///
    /// # Errors
    /// `LeftOut` when that brought no image nearer, several times in a row.
    pub(super) async fn fill(&mut self, tell: &mut impl FnMut(Seen)) -> Result<(), ChangeFault> {
        let (first, mut last, mut moved) = (self.next.count(None).await?, 0, Instant::now());
        let mut made = None;
        let mut listing = std::pin::pin!(fill(&self.stores, &self.next, self.stray_after));
        let seen = loop {
            tokio::select! {
                listed = &mut listing, if made.is_none() => made = Some(listed?),
                () = sleep(LOOK_EVERY) => {}
            }
            let seen = self.look(tell).await?;
            if seen.indexed != last {
                (last, moved) = (seen.indexed, Instant::now());
            }
            if made.is_some() && (seen.lacking() <= NEARLY || moved.elapsed() > NO_PROGRESS) {
                break seen;
            }
        };
        if self.vain_fills.are_enough(made.unwrap_or_default(), last > first) {
            return Err(ChangeFault::LeftOut { images: seen.lacking() });
        }
        Ok(())
    }

    async fn look(&self, tell: &mut impl FnMut(Seen)) -> Result<Seen, ChangeFault> {
        let seen = Seen { images: self.current.count(None).await?, indexed: self.next.count(None).await? };
        tell(seen);
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_nobody_takes_are_waited_for_and_those_that_fail_are_not() {
        let mut vain = VainFills::default();
        assert!(!vain.are_enough(300, false));
        for _ in 0..100 {
            assert!(!vain.are_enough(0, false), "they wait");
        }
        assert!(!vain.are_enough(0, true));
        // All but two have come; those fail each time.
        assert_eq!([2, 2, 2].map(|made| vain.are_enough(made, false)), [false, false, true]);
    }
}
