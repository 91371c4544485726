//! How far the collection of a second model is, and what the two models are called in the queue: told by `imagesearch model
//! fill` in a bucket of the queue.

use std::time::Duration;

use async_nats::jetstream::{Context, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use shared::model::FillProgress;
use tokio::time::timeout;

/// Whoever may not ask is not told so, but left without an answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// What is expected moves no more often than that.
const EXPECTED_WITHIN_S: i64 = 10;

/// The model beside the one that searches use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub source: String,
    /// Of its consumer this is the name. While it isn't known, its jobs count like all others.
    pub fingerprint: Option<String>,
    /// Where it is told how far it is: `shared::config::Jetstream::models_bucket`.
    pub bucket: String,
    /// Since when its collection is filled, if it is. What was told before is of an earlier time.
    pub filled_since: Option<Timestamp>,
}

/// How far a collection is that is filled, as it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub model: Known,
    /// Searches use this one meanwhile.
    pub current: Known,
    /// Images that it has, rounded to two digits.
    pub indexed: u64,
    pub images: u64,
    /// Absent while there are no images.
    pub percent: Option<u8>,
    /// Rounded to 10 s; absent when it has them all.
    pub expected_at: Option<Timestamp>,
}

/// A model, and what it is called in the stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub source: String,
    pub fingerprint: String,
}

impl Progress {
    fn at(told: FillProgress, now: Timestamp) -> Self {
        let known =
            |model: shared::model::KnownModel| Known { source: model.choice.source, fingerprint: model.fingerprint.0 };
        let (images, indexed) = (told.images, told.indexed.min(told.images));
        let left_s = told.seconds_left.filter(|_| indexed < images).and_then(|left_s| i64::try_from(left_s).ok());
        Self {
            model: known(told.model),
            current: known(told.beside),
            // Rounded up, it would be complete before it is.
            indexed: if indexed < images { down_to_two_digits(indexed) } else { images },
            images,
            percent: (u128::from(indexed) * 100).checked_div(images.into()).map(|percent| percent as u8),
            expected_at: left_s.and_then(|left_s| rounded(now.as_second().checked_add(left_s)?)),
        }
    }
}

fn down_to_two_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or_default().saturating_sub(1));
    number / unit * unit
}

fn rounded(second: i64) -> Option<Timestamp> {
    let second = second.checked_add(EXPECTED_WITHIN_S / 2)? / EXPECTED_WITHIN_S * EXPECTED_WITHIN_S;
    Timestamp::from_second(second).ok()
}

/// What is told of a model; none where nothing is, where it is told of another one, and where it can't be read: it is no reason
/// not to scale.
pub(super) async fn ask(context: &Context, beside: &Beside) -> Option<Progress> {
    let since = beside.filled_since?;
    let stream = format!("STREAM.MSG.GET.KV_{}", beside.bucket);
    let key = json!({ "last_by_subj": format!("$KV.{}.{}", beside.bucket, FillProgress::KEY) });
    let answer = timeout(ASK_TIMEOUT, context.request(stream, &key)).await.ok()?.ok()?;
    let Response::Ok(Stored { message }) = answer else { return None };
    let told = BASE64_STANDARD.decode(message.data.filter(|_| message.time >= since)?).ok()?;
    let told: FillProgress = serde_json::from_slice(&told).ok()?;
    (told.model.choice.source == beside.source).then(|| Progress::at(told, Timestamp::now()))
}

#[derive(Deserialize)]
struct Stored {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    /// In base64; left out when it is empty.
    data: Option<String>,
    time: Timestamp,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(indexed: u64, images: u64, seconds_left: Option<u64>) -> Progress {
        let model = |source: &str| json!({ "source": source, "fingerprint": source, "dimension": 4 });
        let told = json!({
            "model": model("larger"), "beside": model("bundled"),
            "indexed": indexed, "images": images, "seconds_left": seconds_left,
        });
        Progress::at(serde_json::from_value(told).unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn numbers_are_rounded_and_complete_only_at_the_end() {
        for (indexed, images, shown) in [
            (87_213, 100_240, (87_000, Some(87))),
            (99_999, 100_000, (99_000, Some(99))),
            (100_000, 100_000, (100_000, Some(100))),
            // Some were deleted meanwhile.
            (12, 10, (10, Some(100))),
            (0, 7, (0, Some(0))),
            (0, 0, (0, None)),
        ] {
            let progress = told(indexed, images, None);
            assert_eq!((progress.indexed, progress.percent), shown, "{indexed} of {images}");
            assert_eq!(progress.images, images);
        }
    }

    #[test]
    fn what_is_expected_is_rounded_and_not_expected_any_more_at_the_end() {
        let expected = |left| told(1, 10, left).expected_at.map(Timestamp::as_second);
        assert_eq!(expected(Some(84)), Some(80));
        assert_eq!(expected(Some(85)), Some(90));
        assert_eq!(expected(Some(u64::MAX)), None);
        assert_eq!(expected(None), None);
        assert_eq!(told(10, 10, Some(0)).expected_at, None);
    }
}
