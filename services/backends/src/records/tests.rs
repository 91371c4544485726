#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use futures::{TryStreamExt, future::join_all};
use jiff::Timestamp;
use serde_json::json;
use shared::{FailureCode, ImageFacts, ImageId, ImageRecord, Metadata, TaskFailure, Version};

use super::{RecordError, Records, Upload};
use crate::{
    keys,
    objects::{ObjectKey, PutCondition, StagedObject, memory::MemoryStore},
};

const BYTES: &[u8] = b"a picture";

fn records() -> Records {
    Records::new(Arc::new(MemoryStore::default()))
}

fn upload(metadata: serde_json::Value) -> Upload {
    Upload {
        image_id: ImageId::of(BYTES),
        size_bytes: BYTES.len() as u64,
        content_type: "image/png".into(),
        name: Some("a.png".into()),
        metadata: serde_json::from_value(metadata).unwrap(),
    }
}

async fn staged(records: &Records) -> Box<dyn StagedObject> {
    let mut staged = records.objects.stage().await.unwrap();
    staged.write(Bytes::from(BYTES)).await.unwrap();
    staged
}

async fn accept(records: &Records, metadata: serde_json::Value) -> ImageRecord {
    records.accept_upload(&upload(metadata), staged(records).await, None).await.unwrap()
}

async fn originals(records: &Records) -> Vec<ObjectKey> {
    records.objects.list(keys::ORIGINALS, None).map_ok(|info| info.key).try_collect().await.unwrap()
}

fn facts() -> ImageFacts {
    serde_json::from_value(json!({"width": 1, "height": 1, "thumbhash": "", "perceptual_hash": ""})).unwrap()
}

fn failure() -> TaskFailure {
    TaskFailure { code: FailureCode::Corrupt, detail: "broken".into() }
}

#[tokio::test]
async fn an_upload_over_a_present_image_keeps_its_bytes_date_and_facts() {
    let records = records();
    let first = accept(&records, json!({"tags": ["a"], "caption": "old"})).await;
    let image_id = first.image_id;
    records.set_facts(image_id, &facts()).await.unwrap().unwrap();
    records.set_failure(image_id, first.version, &failure()).await.unwrap().unwrap();
    let second = accept(&records, json!({"caption": "new"})).await;

    assert!(second.version > first.version);
    assert_eq!((second.original, &second.failure), (first.original, &None));
    let (before, after) = (first.document().unwrap(), second.document().unwrap());
    assert_eq!((after.created, after.version), (before.created, second.version));
    assert_eq!(after.metadata, serde_json::from_value::<Metadata>(json!({"tags": ["a"], "caption": "new"})).unwrap());
    assert_eq!(after.facts, Some(facts()));
    assert_eq!(originals(&records).await.len(), 1);
    assert_eq!(records.get(image_id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn an_upload_of_what_was_deleted_starts_afresh_under_a_new_name() {
    let records = records();
    let first = accept(&records, json!({"tags": ["a"]})).await;
    let deleted = records.delete(first.image_id).await.unwrap();
    assert_eq!(deleted.original, first.original);
    let second = accept(&records, json!({})).await;
    assert!(first.version < deleted.version && deleted.version < second.version);
    assert_ne!(second.original, first.original);
    assert_eq!(second.document().unwrap().metadata, Metadata::default());
    assert_eq!(originals(&records).await, [keys::original(second.image_id, second.original.unwrap())]);
    let (_, bytes) = records.read_original(second.image_id, 100).await.unwrap().unwrap();
    assert_eq!(bytes, BYTES);
}

#[tokio::test]
async fn an_upload_heals_bytes_that_are_gone_and_a_record_that_cannot_be_read() {
    let records = records();
    let first = accept(&records, json!({})).await;
    records.objects.delete(&keys::original(first.image_id, first.original.unwrap())).await.unwrap();
    let missing = records.read_original(first.image_id, 100).await;
    assert!(matches!(missing, Err(RecordError::OriginalMissing(_))));
    accept(&records, json!({})).await;
    assert!(records.read_original(first.image_id, 100).await.unwrap().is_some());

    records.objects.put(&keys::record(first.image_id), Bytes::from("{"), PutCondition::None).await.unwrap();
    assert!(matches!(records.get(first.image_id).await, Err(RecordError::Damaged { .. })));
    let healed = accept(&records, json!({})).await;
    assert!(healed.version > first.version);
}

#[tokio::test]
async fn a_record_that_changed_since_it_was_seen_is_read_again() {
    let records = records();
    let first = accept(&records, json!({})).await;
    let image_id = first.image_id;
    let seen = records.read(image_id).await.unwrap();
    records.change_metadata(image_id, &json!({"caption": "newer"})).await.unwrap();
    let second = records.accept_upload(&upload(json!({})), staged(&records).await, seen).await.unwrap();
    assert_eq!(
        (second.original, second.document().unwrap().metadata.caption.as_deref()),
        (first.original, Some("newer"))
    );

    let (seen, asked) = (records.read(image_id).await.unwrap(), Timestamp::now());
    records.delete(image_id).await.unwrap();
    let third = records.accept_fetched(&upload(json!({})), staged(&records).await, seen, asked).await;
    assert!(matches!(third, Err(RecordError::DeletedSince(_))), "{third:?}");
    assert_eq!(originals(&records).await, [keys::original(image_id, first.original.unwrap())]);
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let records = records();
    let image_id = accept(&records, json!({})).await.image_id;
    let change = |number: usize| {
        let (records, patch) = (records.clone(), json!({"fields": {format!("f{number}"): number}}));
        tokio::spawn(async move { records.change_metadata(image_id, &patch).await.unwrap().version })
    };
    let mut versions: Vec<Version> = join_all((0..20).map(change)).await.into_iter().map(Result::unwrap).collect();
    let record = records.get(image_id).await.unwrap().unwrap();
    assert_eq!(record.document().unwrap().metadata.fields.len(), 20);
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 20);
    assert_eq!(versions.last(), Some(&record.version));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_changed_or_deleted() {
    let records = records();
    let image_id = ImageId::of(BYTES);
    assert!(matches!(records.delete(image_id).await, Err(RecordError::NotFound(_))));
    accept(&records, json!({})).await;
    records.delete(image_id).await.unwrap();
    assert!(matches!(records.delete(image_id).await, Err(RecordError::NotFound(_))));
    assert!(matches!(records.change_metadata(image_id, &json!({})).await, Err(RecordError::NotFound(_))));
    assert_eq!(records.set_facts(image_id, &facts()).await.unwrap(), None);
    assert!(records.read_original(image_id, 100).await.unwrap().is_none());
}

#[tokio::test]
async fn facts_keep_the_version_and_a_failure_belongs_to_one() {
    let records = records();
    let first = accept(&records, json!({})).await;
    let second = records.change_metadata(first.image_id, &json!({"caption": "c"})).await.unwrap();
    assert_eq!(records.set_failure(first.image_id, first.version, &failure()).await.unwrap(), None);
    let failed = records.set_failure(first.image_id, second.version, &failure()).await.unwrap().unwrap();
    assert_eq!((failed.version, failed.searchable()), (second.version, None));

    let decoded = records.set_facts(first.image_id, &facts()).await.unwrap().unwrap();
    assert_eq!((decoded.version, &decoded.failure), (second.version, &None));
    assert_eq!(decoded.searchable().unwrap().facts, Some(facts()));
}

#[tokio::test]
async fn a_change_that_breaks_a_limit_changes_nothing() {
    let records = records();
    let before = accept(&records, json!({"caption": "c"})).await;
    let refused = records.change_metadata(before.image_id, &json!({"tags": [""]})).await;
    assert!(matches!(refused, Err(RecordError::Metadata(_))));
    assert_eq!(records.get(before.image_id).await.unwrap(), Some(before));
    let refused = records.accept_upload(&upload(json!({"fields": {"a": [1]}})), staged(&records).await, None).await;
    assert!(matches!(refused, Err(RecordError::Metadata(_))));
}

#[tokio::test]
async fn a_record_of_another_size_is_damaged_like_any_other() {
    let records = records();
    let first = accept(&records, json!({})).await;
    let large = Bytes::from(vec![b' '; super::MAX_RECORD_BYTES as usize + 1]);
    records.objects.put(&keys::record(first.image_id), large, PutCondition::None).await.unwrap();
    let listed: Vec<_> = records.list(keys::RECORDS, None).try_collect().await.unwrap();
    assert!(matches!(listed[0].record, Err(RecordError::Damaged { .. })));
    assert!(accept(&records, json!({})).await.version > first.version);
}
