//! An object on its way in. What fits into one part waits here and is put as a whole; of a larger one, each full part
//! becomes an object of its own, aside, and the store puts them together under the key, without their coming back here.
//!
//! The parts are no multipart upload from the start, since that needs the key.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use async_trait::async_trait;
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::SemaphorePermit;
use uuid::Uuid;

use super::{bucket::Bucket, part::Part};
use crate::objects::{ObjectError, ObjectKey, PutCondition, StagedObject};

/// The parts that S3 takes at most.
const MAX_PARTS: usize = 10_000;
/// Parts of one object that the store copies or removes at once.
const AT_ONCE: usize = 8;
const WHAT: &str = "an upload";

pub(super) struct S3Staged {
    parts: Parts,
    /// The one that is being filled.
    part: Part,
    /// Not after a write that failed or was given up half way: what is there can't be trusted then.
    is_whole: bool,
}

/// Full parts, removed when dropped.
struct Parts {
    bucket: Arc<Bucket>,
    id: Uuid,
    /// Those that were begun, whether they arrived or not.
    count: usize,
}

/// A multipart upload, aborted when dropped unless it was completed.
struct Assembly {
    bucket: Arc<Bucket>,
    path: String,
    /// What the store calls it; `None` once it is completed.
    upload_id: Option<String>,
    /// Of the whole, which a reader can verify; those of parts can't be.
    has_checksum: bool,
}

impl S3Staged {
    pub(super) fn new(bucket: Arc<Bucket>) -> Self {
        let parts = Parts { bucket, id: Uuid::new_v4(), count: 0 };
        Self { parts, part: Part::default(), is_whole: true }
    }

    fn need_whole(&self) -> Result<(), ObjectError> {
        if self.is_whole {
            return Ok(());
        }
        Err(self.parts.bucket.unavailable(WHAT, "it was given up", "an earlier write failed"))
    }

    async fn send_part(&mut self) -> Result<(), ObjectError> {
        let path = self.parts.path(self.parts.count);
        self.parts.count += 1;
        let bucket = &self.parts.bucket;
        let (part, _place) = load(bucket, mem::take(&mut self.part)).await?;
        bucket.put(&path, part, &PutCondition::None).await?;
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        (self.parts.count * self.parts.bucket.part_bytes + self.part.len()) as u64
    }

    /// Puts the parts, of which the last is still here, together under the key.
    async fn assemble(&mut self, key: &ObjectKey) -> Result<(), ObjectError> {
        let (size_bytes, limit_bytes) = (self.size_bytes(), (MAX_PARTS * self.parts.bucket.part_bytes) as u64);
        if size_bytes > limit_bytes {
            return Err(ObjectError::TooLarge { key: key.clone(), size_bytes, limit_bytes });
        }
        let sums_up = self.parts.bucket.sums_up_copies.load(Relaxed);
        let copied = match self.copy_parts(key).await {
            Err(_) if sums_up && !self.parts.bucket.sums_up_copies.load(Relaxed) => self.copy_parts(key).await,
            copied => copied,
        };
        let (mut assembly, mut parts) = copied?;
        let (last, _place) = load(&self.parts.bucket, mem::take(&mut self.part)).await?;
        if !last.is_empty() {
            parts.push(assembly.add(self.parts.count, last).await?);
        }
        assembly.complete(parts, size_bytes).await
    }

    /// Begins what is to be under the key, with all parts but the last.
    async fn copy_parts(&self, key: &ObjectKey) -> Result<(Assembly, Vec<CompletedPart>), ObjectError> {
        let assembly = Assembly::begin(self.parts.bucket.clone(), key).await?;
        let copies = (0..self.parts.count).map(|number| assembly.copy(number, self.parts.path(number)));
        let parts = stream::iter(copies).buffered(AT_ONCE).try_collect().await?;
        Ok((assembly, parts))
    }
}

#[async_trait]
impl StagedObject for S3Staged {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        self.need_whole()?;
        self.is_whole = false;
        loop {
            let room = self.parts.bucket.part_bytes - self.part.len();
            self.part.write(bytes.split_to(room.min(bytes.len())), &self.parts.bucket.folder).await?;
            if bytes.is_empty() {
                self.is_whole = true;
                return Ok(());
            }
            self.send_part().await?;
        }
    }

    async fn commit(mut self: Box<Self>, key: &ObjectKey) -> Result<(), ObjectError> {
        self.need_whole()?;
        if self.parts.count == 0 {
            let bucket = &self.parts.bucket;
            let (bytes, _place) = load(bucket, mem::take(&mut self.part)).await?;
            bucket.put(&bucket.path(key), bytes, &PutCondition::None).await?;
            return Ok(());
        }
        self.assemble(key).await?;
        let paths = self.parts.take();
        remove(self.parts.bucket.clone(), paths).await;
        Ok(())
    }
}

impl Parts {
    fn path(&self, number: usize) -> String {
        format!("{}{}/{number}", self.bucket.staging(), self.id)
    }

    /// All paths, which are nobody's to remove any more.
    fn take(&mut self) -> Vec<String> {
        (0..std::mem::take(&mut self.count)).map(|number| self.path(number)).collect()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if self.count > 0
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let paths = self.take();
            runtime.spawn(remove(self.bucket.clone(), paths));
        }
    }
}

/// Brings a part into memory, once it has a place there.
async fn load(bucket: &Bucket, part: Part) -> Result<(Bytes, Option<SemaphorePermit<'_>>), ObjectError> {
    if part.is_in_memory() {
        return Ok((part.into_bytes(&bucket.folder).await?, None));
    }
    let place = bucket.places.acquire().await;
    let place = place.map_err(|closed| bucket.unavailable(WHAT, "the process is ending", closed))?;
    Ok((part.into_bytes(&bucket.folder).await?, Some(place)))
}

/// Best effort: what stays is removed when it is a day old.
async fn remove(bucket: Arc<Bucket>, paths: Vec<String>) {
    stream::iter(paths)
        .for_each_concurrent(AT_ONCE, async |path| {
            if let Err(error) = bucket.delete(&path).await {
                tracing::debug!(path, %error, "a part of an upload is left for a day");
            }
        })
        .await;
}

impl Assembly {
    async fn begin(bucket: Arc<Bucket>, key: &ObjectKey) -> Result<Self, ObjectError> {
        let path = bucket.path(key);
        let has_checksum = bucket.sums_up_copies.load(Relaxed);
        let begun = bucket
            .client
            .create_multipart_upload()
            .bucket(&bucket.name)
            .key(&path)
            .set_server_side_encryption(bucket.encryption.clone())
            .set_ssekms_key_id(bucket.kms_key_id.clone())
            .set_checksum_algorithm(has_checksum.then_some(ChecksumAlgorithm::Crc32))
            .set_checksum_type(has_checksum.then_some(ChecksumType::FullObject))
            .send()
            .await
            .map_err(|error| bucket.fault(&path, error))?;
        let upload_id = begun.upload_id;
        if upload_id.is_none() {
            return Err(bucket.unavailable(
                &path,
                "the store gives multipart uploads no id",
                "an answer without UploadId",
            ));
        }
        Ok(Self { bucket, path, upload_id, has_checksum })
    }

    async fn copy(&self, number: usize, from: String) -> Result<CompletedPart, ObjectError> {
        let bucket = &self.bucket;
        let copied = bucket
            .client
            .upload_part_copy()
            .bucket(&bucket.name)
            .key(&self.path)
            .set_upload_id(self.upload_id.clone())
            .part_number(number as i32 + 1)
            .copy_source(encoded(&format!("{}/{from}", bucket.name)))
            .customize()
            .config_override(bucket.patience(bucket.part_bytes as u64))
            .send()
            .await
            .map_err(|error| {
                if self.has_checksum && error.code() == Some("InvalidArgument") {
                    bucket.sums_up_copies.store(false, Relaxed);
                }
                bucket.fault(&self.path, error)
            })?;
        let part = copied.copy_part_result.unwrap_or_else(|| aws_sdk_s3::types::CopyPartResult::builder().build());
        Ok(CompletedPart::builder()
            .part_number(number as i32 + 1)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }

    async fn add(&self, number: usize, bytes: Bytes) -> Result<CompletedPart, ObjectError> {
        let bucket = &self.bucket;
        let patience = bucket.patience(bytes.len() as u64);
        let part = bucket
            .client
            .upload_part()
            .bucket(&bucket.name)
            .key(&self.path)
            .set_upload_id(self.upload_id.clone())
            .part_number(number as i32 + 1)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into())
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|error| bucket.fault(&self.path, error))?;
        Ok(CompletedPart::builder()
            .part_number(number as i32 + 1)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }

    async fn complete(&mut self, parts: Vec<CompletedPart>, size_bytes: u64) -> Result<(), ObjectError> {
        let bucket = &self.bucket;
        bucket
            .client
            .complete_multipart_upload()
            .bucket(&bucket.name)
            .key(&self.path)
            .set_upload_id(self.upload_id.clone())
            .set_checksum_type(self.has_checksum.then_some(ChecksumType::FullObject))
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            .config_override(bucket.patience(size_bytes))
            .send()
            .await
            .map_err(|error| bucket.fault(&self.path, error))?;
        self.upload_id = None;
        Ok(())
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        if let Some(upload_id) = self.upload_id.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (bucket, path) = (self.bucket.clone(), std::mem::take(&mut self.path));
            runtime.spawn(async move {
                if let Err(error) = bucket.abort(&path, &upload_id).await {
                    tracing::debug!(path, %error, "a multipart upload is left for a day");
                }
            });
        }
    }
}

/// A path as it stands in a header: what a URL can't hold is escaped.
fn encoded(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
