//! What is done once, before the store is used: the bucket, and the proof that conditions hold.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use aws_sdk_s3::{
    operation::head_bucket::HeadBucketError,
    types::{BucketLocationConstraint, CreateBucketConfiguration, ServerSideEncryption},
};
use bytes::Bytes;
use camino::Utf8Path;
use futures::future::try_join_all;
use shared::config::S3;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{bucket::Bucket, connection::connect};
use crate::objects::{ETag, ObjectError, PutCondition};

/// Requests that race for one condition: a store that checks it without a lock lets several of them through.
const RACERS: usize = 4;
/// Parts of uploads that are in memory at once, to be sent.
const SENDING_BYTES: u64 = 16 << 20;

pub(super) async fn open(config: &S3, folder: &Utf8Path) -> Result<Arc<Bucket>, ObjectError> {
    let bucket = Arc::new(bucket_of(config, folder).await?);
    find_or_make(&bucket, config).await?;
    prove_conditions(&bucket).await?;
    Ok(bucket)
}

pub(super) async fn bucket_of(config: &S3, folder: &Utf8Path) -> Result<Bucket, ObjectError> {
    Ok(Bucket {
        client: connect(config).await?,
        name: config.bucket.clone(),
        prefix: as_folder(config.prefix.as_deref().unwrap_or_default()),
        place: match &config.endpoint {
            Some(endpoint) => format!("bucket {} at {}", config.bucket, without_user(endpoint)),
            None => format!("bucket {} at AWS, {}", config.bucket, config.region),
        },
        encryption: config.server_side_encryption.as_deref().map(ServerSideEncryption::from),
        kms_key_id: config.kms_key_id.clone(),
        folder: folder.to_owned(),
        part_bytes: config.part_size_bytes as usize,
        places: Semaphore::new((SENDING_BYTES / config.part_size_bytes).max(1) as usize),
        sums_up_copies: AtomicBool::new(true),
        timeout: Duration::from_millis(config.timeout_ms),
    })
}

/// A prefix is a folder, with or without a closing `/`.
fn as_folder(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

/// A URL can hold a password, which errors don't show.
fn without_user(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => endpoint.to_owned(),
    }
}

async fn find_or_make(bucket: &Bucket, config: &S3) -> Result<(), ObjectError> {
    if is_there(bucket).await? {
        return Ok(());
    }
    if !config.create_bucket {
        return Err(bucket.unavailable(
            "opening it",
            "it isn't there; make it, or set objects.create_bucket",
            "no such bucket",
        ));
    }
    let mut request = bucket.client.create_bucket().bucket(&bucket.name);
    // AWS's first region is the one that is not named.
    if config.region != "us-east-1" {
        let place = BucketLocationConstraint::from(config.region.as_str());
        request = request
            .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
    }
    match request.send().await {
        Ok(_) => Ok(()),
        // Another process may have made it at the same time.
        Err(_) if is_there(bucket).await? => Ok(()),
        Err(error) => Err(bucket.fault("making it", error)),
    }
}

async fn is_there(bucket: &Bucket) -> Result<bool, ObjectError> {
    match bucket.client.head_bucket().bucket(&bucket.name).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(HeadBucketError::is_not_found) => Ok(false),
        Err(error) => Err(bucket.fault("opening it", error)),
    }
}

/// Records are changed by compare-and-swap: a store that takes a write whose condition does not hold would lose changes.
async fn prove_conditions(bucket: &Bucket) -> Result<(), ObjectError> {
    let path = format!("{}{}", bucket.staging(), Uuid::new_v4());
    let proof = async {
        let Some(first) = race(bucket, &path, &PutCondition::Absent).await? else { return Ok(false) };
        Ok(race(bucket, &path, &PutCondition::Matches(first)).await?.is_some())
    };
    let holds = proof.await;
    let removed = bucket.delete(&path).await;
    if holds? {
        return removed;
    }
    let advice = "the store ignores conditions of writes; it has to honour If-None-Match and If-Match, as AWS S3, MinIO and \
                  SeaweedFS do in their current versions";
    Err(bucket.unavailable("opening it", advice, "several writes with one condition were taken, or none"))
}

/// Lets several writes meet one condition at once; the tag that the only one that was taken has got, if it was the only one.
async fn race(bucket: &Bucket, path: &str, condition: &PutCondition) -> Result<Option<ETag>, ObjectError> {
    let racers = (0..RACERS).map(|_| bucket.put(path, Bytes::from(Uuid::new_v4().to_string()), condition));
    let mut taken: Vec<_> = try_join_all(racers).await?.into_iter().flatten().collect();
    Ok(taken.pop().filter(|_| taken.is_empty()))
}
