//! `imagesearch check`: compares objects, index and tasks, says what differs, and mends it when told to.

use std::{fmt, sync::Arc};

use futures::TryStreamExt;
use serde::Serialize;

use crate::{
    error::StoreError,
    index::Collection,
    repair::{Enqueuer, WhenFull, repair},
    stores::Stores,
    survey::{Difference, Finding, Survey, SurveyOptions},
};

/// Differences that are named one by one.
const MAX_EXAMPLES: usize = 20;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CheckReport {
    pub indexed: u64,
    /// Not indexed yet, but a task or an upload under way will see to it.
    pub waiting: u64,
    /// Their records say why they can't be indexed.
    pub failed: u64,
    pub deleted: u64,
    pub differences: Differences,
    /// The first differences, in words.
    pub examples: Vec<String>,
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    pub not_indexed: u64,
    pub stale_documents: u64,
    pub not_forgotten: u64,
    pub originals_missing: u64,
    pub originals_damaged: u64,
    pub stray_originals: u64,
    pub records_damaged: u64,
}

/// What was found, and, after a repair, what is left of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    pub found: CheckReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<CheckReport>,
}

impl Differences {
    pub fn total(&self) -> u64 {
        let Self {
            not_indexed,
            stale_documents,
            not_forgotten,
            originals_missing,
            originals_damaged,
            stray_originals,
            records_damaged,
        } = self;
        not_indexed
            + stale_documents
            + not_forgotten
            + originals_missing
            + originals_damaged
            + stray_originals
            + records_damaged
    }

    fn count_of(&mut self, difference: &Difference) -> &mut u64 {
        match difference {
            Difference::NotIndexed(_) => &mut self.not_indexed,
            Difference::StaleDocument(_) => &mut self.stale_documents,
            Difference::NotForgotten(_) => &mut self.not_forgotten,
            Difference::OriginalMissing(_) => &mut self.originals_missing,
            Difference::OriginalDamaged(_) => &mut self.originals_damaged,
            Difference::StrayOriginal(_) => &mut self.stray_originals,
            Difference::RecordDamaged(_) => &mut self.records_damaged,
        }
    }
}

impl Checked {
    /// The differences that are there now.
    pub fn differences(&self) -> u64 {
        self.left.as_ref().unwrap_or(&self.found).differences.total()
    }
}

/// Compares everything; with `mend`, mends what it can and compares again. `progress` is told how many images were looked
/// at so far.
pub async fn check(
    stores: &Stores,
    collection: &Arc<dyn Collection>,
    options: SurveyOptions,
    mend: bool,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Checked, StoreError> {
    let mut mender = mend.then(|| Mender::new(stores, collection));
    let found = survey(stores, collection, options, mender.as_mut(), progress).await?;
    let left = match mender {
        Some(mut mender) if found.differences.total() > 0 => {
            mender.enqueuer.flush().await?;
            Some(survey(stores, collection, options, None, progress).await?)
        }
        _ => None,
    };
    Ok(Checked { found, left })
}

struct Mender<'a> {
    stores: &'a Stores,
    collection: &'a Arc<dyn Collection>,
    enqueuer: Enqueuer,
}

impl<'a> Mender<'a> {
    fn new(stores: &'a Stores, collection: &'a Arc<dyn Collection>) -> Self {
        let model = collection.spec().model.clone();
        // Nobody may be there to make room.
        Self { stores, collection, enqueuer: Enqueuer::new(stores.queue.clone(), model, WhenFull::Leave) }
    }

    async fn mend(&mut self, difference: &Difference) -> Result<(), StoreError> {
        let projection = self.stores.projection(self.collection);
        repair(difference, &self.stores.records, &projection, &mut self.enqueuer).await.map(drop)
    }
}

async fn survey(
    stores: &Stores,
    collection: &Arc<dyn Collection>,
    options: SurveyOptions,
    mut mender: Option<&mut Mender<'_>>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    let mut findings = Survey::new(stores, collection, options).findings();
    let mut looked_at = 0;
    while let Some(finding) = findings.try_next().await? {
        if let (Finding::Difference(difference), Some(mender)) = (&finding, mender.as_mut()) {
            mender.mend(difference).await?;
        }
        report.add(&finding);
        looked_at += 1;
        progress(looked_at);
    }
    Ok(report)
}

impl CheckReport {
    fn add(&mut self, finding: &Finding) {
        match finding {
            Finding::Indexed => self.indexed += 1,
            Finding::Waiting => self.waiting += 1,
            Finding::Failed => self.failed += 1,
            Finding::Deleted => self.deleted += 1,
            Finding::Difference(difference) => {
                *self.differences.count_of(difference) += 1;
                if self.examples.len() < MAX_EXAMPLES {
                    self.examples.push(difference.to_string());
                }
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIndexed(record) => write!(formatter, "image {} is neither indexed nor queued", record.image_id),
            Self::StaleDocument(id) => write!(formatter, "image {id} is indexed with metadata that was changed since"),
            Self::NotForgotten(id) => write!(formatter, "image {id} is not there, but something of it is still kept"),
            Self::OriginalMissing(record) => write!(formatter, "the bytes of image {} are gone", record.image_id),
            Self::OriginalDamaged(record) => write!(formatter, "the bytes of image {} are damaged", record.image_id),
            Self::StrayOriginal(key) => write!(formatter, "object {key} belongs to no image"),
            Self::RecordDamaged(id) => {
                write!(formatter, "the record of image {id} can't be read; upload the image again or delete it")
            }
        }
    }
}

#[cfg(test)]
mod tests;
